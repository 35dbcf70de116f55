from utils.runs.environment import environment


def test_environment_without_git_has_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert environment()["git_commit"] is None


def test_the_commit_is_that_of_this_repository(monkeypatch, tmp_path):
    commit = environment()["git_commit"]
    monkeypatch.setenv("GIT_DIR", str(tmp_path))  # as a hook of another repository has it
    assert environment()["git_commit"] == commit
