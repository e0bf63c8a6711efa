"""What the gateway reports of itself: measurement `gateway` of the district, one point a minute."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from drivers.vocabulary import PointSpec

GATEWAY = "gateway"
"""Its device id and its kind."""


def _number(unit: str, zh: str, en: str, *, counter: bool = False) -> PointSpec:
    return PointSpec(unit=unit, decimals=0, zh=zh, en=en, counter=counter, resets=counter)


def _switch(zh: str, en: str) -> PointSpec:
    return PointSpec(unit="bool", type="switch", zh=zh, en=en)


POINTS: Mapping[str, PointSpec] = MappingProxyType(
    {
        "uptime": _number("s", "运行时间", "Time since the gateway's start"),
        "memory_used": _number("By", "内存占用", "Resident memory of the gateway"),
        "clock": PointSpec(unit="text", type="text", zh="时钟状态", en="Clock: synced, holdover or unsynced"),
        "devices": _number("1", "设备数", "Configured devices"),
        "devices_silent": _number("1", "失联设备数", "Devices that do not answer"),
        "lines_down": _number("1", "断开的线路数", "Lines that are not connected"),
        "line_busiest": _number("%", "最忙线路占用率", "Share of time that the busiest line is busy"),
        "line_waiting": _number("ms", "最长轮询延迟", "How long the oldest due exchange has waited"),
        "readings_good": _number("1", "有效读数", "Good readings since the start", counter=True),
        "readings_bad": _number("1", "无效读数", "Bad readings since the start", counter=True),
        "readings_held": _number("1", "内存中读数", "Readings that are not yet stored"),
        "readings_lost": _number("1", "丢失读数", "Readings lost to full buffers", counter=True),
        "readings_shed": _number("1", "舍弃读数", "Readings given up unsent because the store was full"),
        "store_failed": _switch("存储故障", "A file cannot be written"),
        "store_used": _number("By", "存储占用", "Bytes of all stored readings"),
        "store_days_left": _number("d", "存储剩余天数", "Days until the store's budget is full"),
        "disk_free": _number("By", "磁盘剩余", "What may still be written on the volume"),
        "sync_pending": _number("1", "待上传", "Entries that wait for the destination that lacks most"),
        "sync_delay": _number("s", "上传滞后", "Age of the oldest entry that waits"),
        "sync_blocked": _switch("上传受阻", "A destination holds everything until a person acts"),
        "sync_quarantined": _number("1", "被拒数据", "Entries that destinations refused for good"),
        "sync_differs": _switch("核对不符", "A destination still lacks what was sent to it"),
        "push_waiting": _number("1", "待推送", "Pushes that stand in memory only"),
        "push_delivered": _number("1", "已推送", "Pushes delivered since the start", counter=True),
        "push_failed": _number("1", "推送失败", "Pushes failed for good since the start", counter=True),
        "tasks_failing": _number("1", "异常任务数", "Tasks that wait for their restart"),
    }
)
