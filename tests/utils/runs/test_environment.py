from utils.runs.environment import environment


def test_environment_without_git_has_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert environment()["git_commit"] is None
