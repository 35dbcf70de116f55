import resource

from system import memory


def test_memory_is_at_least_what_this_process_has_used_and_at_most_a_petabyte():
    used = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert used < memory.memory_bytes() < 10**15


def test_a_container_has_what_it_is_told(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CONTAINER_LIMIT", limit)
    machine = memory.memory_bytes()
    limit.write_text("1048576\n")
    assert memory.memory_bytes() == 1048576
    for unlimited in ("max\n", f"{2**63}\n"):
        limit.write_text(unlimited)
        assert memory.memory_bytes() == machine


def test_a_system_that_does_not_say_it_is_none(monkeypatch):
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.memory_bytes() is None
