"""A notice as people read it in a chat or a mail."""

from __future__ import annotations

from edge.channels.channel import Notice

HEADS = {"cleared": "【已恢复】", "heartbeat": "【值守正常】", "digest": "【报警汇总】"}


def head_of(notice: Notice) -> str:
    """What kind of message it is."""
    urgent = "未确认 · " if notice.change == "escalated" else ""
    return HEADS.get(notice.change) or f"【{urgent}{notice.priority}级报警】"


def text_of(notice: Notice, most_bytes: int) -> str:
    """The whole message, cut to a provider's limit in bytes."""
    lines = [f"{head_of(notice)}{notice.title}"]
    if notice.place:
        lines.append(f"位置:{notice.place}")
    if notice.message:
        lines.append(notice.message if notice.change == "digest" else f"情况:{notice.message}")
    if notice.change in ("raised", "escalated") and notice.guide:
        lines.append(f"处置:{notice.guide}")
    lines.append(f"时间:{notice.when}  {notice.site}")
    text = "\n".join(lines).encode()
    return text[:most_bytes].decode(errors="ignore")
