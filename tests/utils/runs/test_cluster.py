import json

import pytest

from utils.errors import UsageError
from utils.runs.cluster import Cluster

WORKERS = ["a:1", "b:2"]


def config(cluster, task):
    return json.dumps({"cluster": cluster, "task": task})


def test_workers_are_counted_from_the_chief():
    text = config({"worker": WORKERS, "chief": ["c:3"]}, {"type": "worker", "index": 1})
    assert Cluster.parse(text) == Cluster(("c:3", "a:1", "b:2"), 2)
    assert Cluster.parse(text).port == 2
    text = config({"worker": ["[::1]:5", "::1:6", "10.0.0.1:7"]}, {"type": "worker", "index": 1})
    assert Cluster.parse(text).port == 6
    # As Kubernetes' training operator writes it.
    text = json.dumps(
        {
            "cluster": {"worker": ["run-worker-0.ns.svc:2222", "run-worker-1.ns.svc:2222"]},
            "task": {"type": "worker", "index": 0},
            "environment": "cloud",
        }
    )
    assert Cluster.parse(text).index == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "needs the environment variable TF_CONFIG"),
        ("", "needs the environment variable TF_CONFIG"),
        ("{", "is not JSON, got '{'"),
        ("[" * 100_000, "is not JSON"),
        ("[]", 'an object with "cluster"'),
        (json.dumps({"cluster": {"worker": WORKERS}}), '"task", an object'),
        (config({}, {}), "no jobs but chief and worker"),
        (config({"worker": WORKERS, "ps": ["p:1"]}, {}), "no jobs but chief and worker"),
        (config({"worker": "a:1"}, {}), 'a list of host:port as "worker"'),
        (config({"worker": []}, {}), 'a list of host:port as "worker"'),
        (config({"worker": ["a"]}, {}), 'a list of host:port as "worker"'),
        (config({"worker": ["a:70000"]}, {}), 'a list of host:port as "worker"'),
        (config({"worker": [1]}, {}), 'a list of host:port as "worker"'),
        (config({"worker": ["http://a:1"]}, {}), 'a list of host:port as "worker"'),
        (config({"worker": ["a\0:1"]}, {}), 'a list of host:port as "worker"'),
        (config({"worker": ["a\ud800:1"]}, {}), 'a list of host:port as "worker"'),
        (config({"worker": ["a:\u0663"]}, {}), 'a list of host:port as "worker"'),
        (config({"chief": WORKERS}, {}), "one chief at most"),
        (config({"worker": ["a:1", "a:1"]}, {}), "an address of its own"),
        (config({"worker": WORKERS}, {"type": "chief", "index": 0}), 'worker as "type"'),
        (config({"worker": WORKERS}, {"type": [], "index": 0}), 'worker as "type"'),
        (config({"worker": WORKERS}, {"type": "worker", "index": 2}), '0 to 1 as "index"'),
        (config({"worker": WORKERS}, {"type": "worker", "index": -1}), '0 to 1 as "index"'),
        (config({"worker": WORKERS}, {"type": "worker", "index": "0"}), '0 to 1 as "index"'),
        (config({"worker": WORKERS}, {"type": "worker", "index": True}), '0 to 1 as "index"'),
        (config({"worker": WORKERS}, {"type": "worker"}), '0 to 1 as "index"'),
    ],
)
def test_what_is_no_cluster_is_refused_with_what_would_be_right(text, said):
    with pytest.raises(UsageError) as error:
        Cluster.parse(text)
    assert said in str(error.value)
    assert '"task": {"type": "worker", "index": 0}' in str(error.value)
    assert len(str(error.value)) < 600
    assert "\n" not in str(error.value)
