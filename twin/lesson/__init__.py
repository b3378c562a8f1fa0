"""What a lesson needs beyond its text: kept predictions, sliders, figures, checks, real runs.

A lesson predicts, simulates with a slider, explains by a formula, confirms on the real proxy, lets
the student answer, and says where the model breaks. All of its logic is here, tested; a notebook
holds only what the student should read.
"""

from twin.lesson.affinity import homes, share_moved
from twin.lesson.balancers import BALANCERS, Outlook, figure_of_balancers, foresee, slow_server
from twin.lesson.behind_caches import ratio_behind
from twin.lesson.cache_explorers import explore_lifetimes, explore_rooms, explore_stampede, explore_windows
from twin.lesson.caching_runs import caching_runs, long_run
from twin.lesson.closed_loop import busy_share, figure_of_throughput, side_by_side, throughput_by_users
from twin.lesson.confirming import confirm_in_notebook, figure_of_confirmation
from twin.lesson.confirming_sharing import confirm_sharing, measure_sharing
from twin.lesson.crossings import chained, redis_through, what_goes_through
from twin.lesson.disguises import BROWSER, CLIENT, LevelsTable, what_the_origin_sees
from twin.lesson.enough_requests import enough_requests, setup_share
from twin.lesson.enough_runs import enough_runs
from twin.lesson.exercise import Exercise, Feedback, Unanswered
from twin.lesson.exercises import fair_share
from twin.lesson.expiry import (
    fetches_per_expiry,
    hit_ratio,
    lifetimes,
    share_that_waits,
    simulated_pages,
    simulated_stampede,
)
from twin.lesson.explorer import BalancerExplorer, explore_balancers
from twin.lesson.farm import (
    FARM_BALANCERS,
    HASHING,
    Farm,
    Foreseen,
    by_age,
    foresee_farm,
    one_more_server,
)
from twin.lesson.farm_explorer import FarmExplorer, explore_farm
from twin.lesson.farm_pictures import figure_of_age, figure_of_farm
from twin.lesson.gatekeeping import visit
from twin.lesson.leaks import what_still_leaks
from twin.lesson.least_moved import least_moved
from twin.lesson.lifetime_needed import lifetime_needed
from twin.lesson.one_server import SERVICE_S, figure_of_repetition, one_server, repeat, simulated
from twin.lesson.predictions import Predictions
from twin.lesson.queueing import (
    mean_of_choices,
    mean_of_random,
    mean_of_random_with_equal_work,
    mean_of_round_robin,
)
from twin.lesson.rooms import best_possible, characteristic_time_hits, hits_by_policy
from twin.lesson.run_explorer import RunExplorer, explore_runs
from twin.lesson.sharing import EACH, expected_hit_ratio, share
from twin.lesson.sharing_explorer import SharingExplorer, explore_sharing
from twin.lesson.showing import Picture
from twin.lesson.talking import has_redis
from twin.lesson.way_explorer import WayExplorer, explore_ways
from twin.lesson.way_pictures import figure_of_ways
from twin.lesson.ways import WAYS, all_ways, converse
from twin.lesson.wire_ways import measure_impatience, measure_ways

__all__ = [
    "BALANCERS", "BROWSER", "CLIENT", "EACH", "FARM_BALANCERS", "HASHING", "SERVICE_S", "WAYS",
    "BalancerExplorer", "Exercise", "Farm", "FarmExplorer", "Feedback", "Foreseen", "LevelsTable",
    "Outlook", "Picture", "Predictions", "RunExplorer", "SharingExplorer", "Unanswered", "WayExplorer",
    "all_ways", "best_possible", "busy_share", "by_age", "caching_runs", "chained",
    "characteristic_time_hits", "confirm_in_notebook", "confirm_sharing", "converse", "enough_requests",
    "enough_runs", "expected_hit_ratio", "explore_balancers", "explore_farm", "explore_lifetimes",
    "explore_rooms", "explore_runs", "explore_sharing", "explore_stampede", "explore_ways",
    "explore_windows", "fair_share", "fetches_per_expiry", "figure_of_age", "figure_of_balancers",
    "figure_of_confirmation", "figure_of_farm", "figure_of_repetition", "figure_of_throughput",
    "figure_of_ways", "foresee", "foresee_farm", "has_redis", "hit_ratio", "hits_by_policy", "homes",
    "least_moved", "lifetime_needed", "lifetimes", "long_run", "mean_of_choices", "mean_of_random",
    "mean_of_random_with_equal_work", "mean_of_round_robin", "measure_impatience", "measure_sharing",
    "measure_ways", "one_more_server", "one_server", "ratio_behind", "redis_through", "repeat",
    "setup_share", "share", "share_moved", "share_that_waits", "side_by_side", "simulated",
    "simulated_pages", "simulated_stampede", "slow_server", "throughput_by_users", "visit",
    "what_goes_through", "what_still_leaks", "what_the_origin_sees",
]  # fmt: skip
