"""The configured school as the API shows it: names, the tree of spaces, devices and their words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from urllib.parse import urlsplit, urlunsplit

from drivers.profile import PointMap, WriteLimits
from drivers.reading import Millis
from drivers.settings import millis
from drivers.vocabulary import PointSpec
from edge.config.configuration import Configuration, DeviceModel
from edge.store.accounts import Role
from edge.web.problems import unknown
from edge.web.services.alarms import AlarmRecord
from edge.web.services.devices import DeviceHealth
from edge.web.services.lines import LineStatus
from edge.web.services.sync import SyncStatus
from edge.web.views.alarms import AlarmView, DeliveryView
from edge.web.views.devices import DeviceHealthView, DeviceView, PointView, WriteView
from edge.web.views.lines import LineDeviceView, LineView
from edge.web.views.site import SpaceView
from edge.web.views.sync import SyncView
from edge.web.views.texts import TextView

LEAST_STALE = 60_000


class School:
    """One configuration, indexed for the API; made anew when the configuration changes."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._names = {space.id: space.name for space in configuration.settings.spaces}

    @cached_property
    def stale_after(self) -> dict[str, Millis]:
        """Device -> the age in ms beyond which its good readings are stale: 3 periods or a minute."""
        return {
            name: max(3 * millis(model.settings.every), LEAST_STALE)
            for name, model in self.configuration.devices.items()
        }

    @cached_property
    def spaces(self) -> list[SpaceView]:
        """All spaces, in the order of the configuration."""
        kinds = self.configuration.vocabulary.space_kinds
        return [
            SpaceView(
                id=space.id,
                name=space.name,
                kind=space.kind,
                kind_zh=kinds[space.kind].zh,
                kind_en=kinds[space.kind].en,
                parent=space.parent,
                area_m2=space.area_m2,
                seats=space.seats,
            )
            for space in self.configuration.settings.spaces
        ]

    def device(self, name: str) -> DeviceModel:
        """A device by id; raises a 404 problem that names those there are."""
        model = self.configuration.devices.get(name)
        if model is None:
            raise unknown("device", name, list(self.configuration.devices))
        return model

    def below(self, space: str) -> frozenset[str]:
        """The ids of a space and of all inside it; raises a 404 problem."""
        if space not in self._names:
            raise unknown("space", space, list(self._names))
        found = {space}
        grown = True
        while grown:
            inside = {s.id for s in self.configuration.settings.spaces if s.parent in found}
            grown = not inside <= found
            found |= inside
        return frozenset(found)

    def scopes_below(self, space: str) -> frozenset[str]:
        """What an alarm may be about in a space: the space, those inside, and their devices."""
        spaces = self.below(space)
        devices = {name for name, model in self.configuration.devices.items() if model.space in spaces}
        return spaces | devices

    def scope_name(self, scope: str) -> str:
        """What people call a scope: the space's name, or the device's id behind its space's name."""
        if scope in self._names:
            return self._names[scope]
        model = self.configuration.devices.get(scope)
        if model is not None:
            return f"{self._names.get(model.space, model.space)} {scope}"
        site = self.configuration.settings.site
        return site.name if scope == site.id else scope

    @cached_property
    def points(self) -> dict[str, list[PointView]]:
        """Device -> its points with their words."""
        return {name: _points(model) for name, model in self.configuration.devices.items()}

    def device_view(self, name: str, health: DeviceHealth) -> DeviceView:
        """A device as shown; raises a 404 problem."""
        model = self.device(name)
        settings, profile = model.settings, model.profile
        kind = self.configuration.vocabulary.device_kinds[model.kind]
        return DeviceView(
            id=settings.id,
            space=settings.space,
            line=settings.line,
            protocol=str(getattr(settings, "protocol", "")),
            profile=settings.profile,
            kind=model.kind,
            kind_zh=kind.zh,
            kind_en=kind.en,
            maker=profile.maker,
            model=profile.model,
            every_s=settings.every.total_seconds(),
            priority=settings.priority,
            points=self.points[name],
            health=DeviceHealthView.model_validate(health),
        )

    def alarm_view(self, record: AlarmRecord) -> AlarmView:
        """An alarm as shown."""
        state = record.state
        return AlarmView(
            id=state.occurrence,
            rule=state.rule,
            scope=state.scope,
            scope_name=self.scope_name(state.scope),
            condition=state.condition,
            state=state.isa,
            priority=state.priority,
            acked=state.acked,
            acked_by=state.acked_by,
            acked_at=state.acked_at,
            note=state.note,
            latched=state.latched,
            stale=state.stale,
            suppressed_by=state.suppressed_by,
            shelved_until=state.shelved_until,
            shelved_by=state.shelved_by,
            shelved_reason=state.shelved_reason,
            oos_until=state.oos_until,
            oos_by=state.oos_by,
            oos_order=state.oos_order,
            chattering=state.chattering,
            first_out=state.first_out,
            raised_at=state.raised_at,
            cleared_at=state.cleared_at,
            device=state.device,
            point=state.point,
            value=state.value,
            unit=state.unit,
            title=TextView.model_validate(record.title),
            consequence=record.consequence and TextView.model_validate(record.consequence),
            guide=record.guide and TextView.model_validate(record.guide),
            owner=record.owner,
            respond_within_s=None if record.respond_within is None else record.respond_within / 1000,
            deliveries=[DeliveryView.model_validate(delivery) for delivery in record.deliveries],
        )


class Schools:
    """The school of the configuration in force; a reload makes a new one."""

    def __init__(self, configuration: Callable[[], Configuration]) -> None:
        self._configuration = configuration
        self._school: School | None = None

    def now(self) -> School:
        """The school as configured now."""
        configuration = self._configuration()
        if self._school is None or self._school.configuration is not configuration:
            self._school = School(configuration)
        return self._school


def line_view(status: LineStatus) -> LineView:
    """A line as shown: its URL without credentials."""
    return LineView(
        id=status.id,
        url=without_credentials(status.url),
        kind=status.kind,
        connected=status.connected,
        since=status.since,
        utilisation=status.utilisation,
        queue_age_ms=status.queue_age,
        last_error=status.last_error,
        exchanges=status.exchanges,
        faults=dict(status.faults),
        devices=[LineDeviceView.model_validate(device) for device in status.devices],
    )


def sync_view(status: SyncStatus) -> SyncView:
    """A destination as shown: its URL without credentials."""
    return SyncView.model_validate(replace(status, url=without_credentials(status.url)))


def without_credentials(url: str) -> str:
    """A URL without user, password, query and fragment: what stands in those may be a secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _write(limits: WriteLimits | None, spec: PointSpec) -> WriteView | None:
    if limits is None:
        return None
    low = [bound for bound in (limits.min, spec.min) if bound is not None]
    high = [bound for bound in (limits.max, spec.max) if bound is not None]
    return WriteView(min=max(low, default=None), max=min(high, default=None), role=Role(limits.role))


def _points(model: DeviceModel) -> list[PointView]:
    # Each protocol family's profile maps its points; the base class only names them.
    mappings: dict[str, PointMap] = getattr(model.profile, "points", {})
    return [
        PointView(
            name=name,
            zh=spec.zh,
            en=spec.en,
            unit=spec.unit,
            type=spec.type,
            decimals=spec.decimals,
            min=spec.min,
            max=spec.max,
            equivalent=name in mappings and mappings[name].equivalent,
            write=_write(model.profile.write_limits(name), spec),
        )
        for name, spec in model.points.items()
    ]
