"""The schools of a demo district: small, alike, and each with a name, a place and numbers of its own."""

from __future__ import annotations

import json
from pathlib import Path

NAMES = (
    "尚德中学", "育才小学", "东风小学", "实验中学", "曙光小学", "第一中学", "向阳小学",
    "光明中学", "红旗小学", "文昌中学", "西关小学", "新华中学", "北塘小学", "明德中学",
    "渭河小学", "启智小学", "南塬中学", "希望小学", "杏林小学", "致远中学",
)  # fmt: skip
MOST = len(NAMES)
"""So many schools can be played."""
LEAST = 2


def site_id(index: int) -> str:
    """The id of the school with this number, from 0."""
    return f"school-{index + 1:02d}"


def write_school(index: int, folder: Path) -> Path:
    """Writes the configuration of the school with this number (from 0) and gives its path.

    Six devices, 5 s apart: two classrooms and their building's meter on one RS-485 line, the
    school's meter, its gate and its weather behind Modbus TCP.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "school.yaml"
    path.write_text(json.dumps(_school(index), ensure_ascii=False, indent=1), encoding="utf-8")
    return path


def _school(index: int) -> dict[str, object]:
    row, column = divmod(index, 5)
    return {
        "version": 1,
        "site": {
            "id": site_id(index),
            "name": NAMES[index],
            "district": "linwei",
            "timezone": "Asia/Shanghai",
            "latitude": round(34.45 + 0.03 * row, 2),
            "longitude": round(109.42 + 0.04 * column, 2),
        },
        "spaces": [
            {"id": "b1", "name": "教学楼", "kind": "building", "area_m2": 1200 + 80 * index},
            {"id": "r101", "name": "一〇一教室", "kind": "classroom", "in": "b1", "area_m2": 64, "seats": 48},
            {
                "id": "r201",
                "name": "二〇一教室",
                "kind": "classroom",
                "in": "b1",
                "area_m2": 64,
                "seats": 40 + index % 9,
            },
            {"id": "roof", "name": "屋顶", "kind": "roof", "in": "b1"},
            {"id": "gate", "name": "校门", "kind": "gate"},
        ],
        "lines": [
            {"id": "bus", "url": "serial:/dev/ttyS1", "baudrate": 9600},
            {"id": "plc", "url": "tcp://192.168.3.9:502"},
        ],
        "devices": [
            _device("env-101", "r101", "bus", "modbus-rtu", "renke-co2-th", 1),
            _device("env-201", "r201", "bus", "modbus-rtu", "renke-co2-th", 2),
            _device("em-b1", "b1", "bus", "modbus-rtu", "eastron-sdm630", 11),
            _device("em-main", "b1", "plc", "modbus-tcp", "chint-dtsu666", 1),
            _device("gate-main", "gate", "plc", "modbus-tcp", "modbus-turnstile", 2),
            _device("weather", "roof", "plc", "modbus-tcp", "renke-weather-station", 3),
        ],
        "rules": ["rules/co2-classroom.yaml", "rules/device-silent.yaml"],
        "store": {"group": "5s"},
    }


def _device(name: str, space: str, line: str, protocol: str, profile: str, address: int) -> dict[str, object]:
    return {
        "id": name, "space": space, "line": line, "protocol": protocol, "profile": profile,
        "address": address, "every": "5s",
    }  # fmt: skip
