"""Windows lie where the work is steady, and the loads fit into the time that they are given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from edge.config.models import StoreSettings
from edge.pipeline import recorder
from tests.bench.catalogue import LOADS
from tests.bench.defaults import EAGER_S, GROUP_S, INTERVAL_S
from tests.bench.node_red import NodeRed
from tests.bench.ours import CampusEdge, Floor
from tests.bench.peers import Peer
from tests.bench.stage import QUICK, Pace, settled_after
from tests.bench.system import System, Targets
from tests.bench.thingsboard import ThingsBoard

BOTH = pytest.mark.parametrize("pace", [Pace(), QUICK])


def systems() -> Sequence[System]:
    peer = Peer("", Path())
    return [CampusEdge(), Floor(), ThingsBoard(peer), NodeRed(peer)]


@BOTH
def test_windows_begin_behind_the_short_groups_and_hold_whole_groups_and_writes(pace: Pace) -> None:
    assert settled_after(pace, CampusEdge()) >= recorder.EAGER_S + recorder.EAGER_GROUP_S == EAGER_S
    assert pace.window_s % StoreSettings().group.total_seconds() == 0
    assert pace.window_s >= GROUP_S
    assert pace.window_s % INTERVAL_S == 0


def test_in_the_whole_benchmark_every_system_settles_as_long_as_the_slowest() -> None:
    assert len({settled_after(Pace(), system) for system in systems()}) == 1


@BOTH
def test_an_outage_lasts_longer_than_what_was_not_yet_promised(pace: Pace) -> None:
    assert pace.outage_s > GROUP_S + 1.0


def test_a_quick_look_takes_less_than_five_minutes_and_holds_both_polling_loads() -> None:
    loads = [load for load in LOADS if load.quick]
    assert {"poll-50", "poll-200"} <= {load.name for load in loads}
    assert sum(load.lasts(QUICK, systems()) for load in loads) <= 270.0 < QUICK.limit_s < 300.0


def test_the_whole_benchmark_is_medians_of_three_and_ends_before_its_limit() -> None:
    pace = Pace()
    assert min(pace.repetitions, pace.side_repetitions) >= 3
    assert pace.memory_s >= 3600.0
    assert sum(load.lasts(pace, systems()) for load in LOADS) < pace.limit_s


def test_a_load_takes_longer_with_more_systems_if_others_take_part() -> None:
    for load in LOADS:
        if load.peered:
            assert load.lasts(QUICK, systems()) > load.lasts(QUICK, systems()[:2]), load.name


def test_the_floor_commits_and_sends_as_this_gateway_does_by_default(tmp_path: Path) -> None:
    launch = Floor().polling(tmp_path, [1], Targets(1, "http://127.0.0.1:1", "", 2))
    settings = launch.argv[-1]
    assert f'"group_s": {GROUP_S}' in settings
    assert f'"group_rows": {recorder.GROUP_ROWS}' in settings
    assert f'"interval_s": {INTERVAL_S}' in settings
