"""`kerasfast list` and `kerasfast info`."""

from cli_case import refuses, run

from kerasfast.registry import index


def test_list_shows_every_name(monkeypatch, capfd):
    monkeypatch.setattr("kerasfast.cli.console.out.width", 200)
    code, out, _ = run(monkeypatch, capfd, "list")
    assert code == 0
    assert all(name in out for name in index())


def test_list_filters(monkeypatch, capfd):
    _, out, _ = run(monkeypatch, capfd, "list", "fast_*")
    assert "fast_nano" in out
    assert "slow_nano" not in out


def test_list_without_a_match(monkeypatch, capfd):
    assert "'mvit*'" in refuses(monkeypatch, capfd, "list", "mvit*")


def test_info_of_an_architecture(monkeypatch, capfd):
    code, out, _ = run(monkeypatch, capfd, "info", "slow_r50_4x16")
    assert code == 0
    assert "32,454,096" in out  # published parameter count
    assert "400 softmax" in out


def test_info_of_weights_shows_card_and_chance(monkeypatch, capfd):
    _, out, _ = run(monkeypatch, capfd, "info", "slowfast_nano.miniature")
    for part in ("action mAP", "chance", "sha256", "clips"):
        assert part in out


def test_info_suggests_the_nearest_name(monkeypatch, capfd):
    assert "Did you mean 'slowfast_r50_8x8'?" in refuses(monkeypatch, capfd, "info", "slowfast_r50_8x9")
