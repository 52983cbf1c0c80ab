"""Judges of pictures of all kinds, on tiny random networks: what they answer is checked against their definition."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import judging
import numpy as np
import pytest
import smallhub
import torch
from huggingface_hub import constants
from numpy.typing import NDArray

from hgc.control import ade20k, coco_stuff
from hgc.judges import table
from hgc.judges.labels import UNLABELLED, HubSegmenter, classes_of
from hgc.judges.networks import Network
from hgc.judges.pose import JOINTS, SIGMAS, keypoint_similarity, people
from hgc.judges.table import MEASURES, Judges
from hgc.models.presets import presets
from hgc.models.refusals import ModelUnavailable
from hgc.request import Request
from hgc.results.comparison import Comparison
from hgc.studio.judge import Judge
from hgc.studio.studio import Studio

CPU = torch.device("cpu")
SIZE = (96, 128)
measured = pytest.mark.skipif(
    find_spec("torchmetrics") is None, reason="torchmetrics is not installed: requirements.txt"
)


@pytest.fixture(scope="module")
def judges_hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("judges")
    judging.publish(home, *(measure.repo for measure in MEASURES.values() if measure.repo))
    return home


@pytest.fixture
def hub(judges_hub: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(judges_hub / "hub"))
    return judges_hub


def picture(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


def coloured(labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.array(list(ade20k.LABELS.palette.values()), np.uint8)[labels]


def network(repo: str) -> Network:
    return Network(repo, "network", CPU)


class TestLabels:
    def test_the_segmenters_own_labels_are_a_perfect_map(self, hub: Path) -> None:
        seen = HubSegmenter(network(MEASURES["segmentation"].repo)).segment(picture())
        assert seen.shape == SIZE
        assert Judges(CPU).score(picture(), coloured(seen), "segmentation") == 1

    def test_the_score_is_the_mean_over_classes(self, hub: Path) -> None:
        """A quarter of one class's pixels is given to one that is nowhere: 3/4 of it is right, and 0 of the other."""
        segmenter = HubSegmenter(network(MEASURES["segmentation"].repo))
        seen = segmenter.segment(picture())
        classes, counts = np.unique(seen, return_counts=True)
        most = classes[counts.argmax()]
        wanted = seen.copy()
        taken = np.flatnonzero(seen == most)[: counts.max() // 4]
        wanted.flat[taken] = next(label for label in range(150) if label not in classes)
        expected = (1 - len(taken) / counts.max() + len(classes) - 1) / (len(classes) + 1)
        assert Judges(CPU).score(picture(), coloured(wanted), "segmentation") == pytest.approx(expected)

    def test_black_is_nobodys(self, hub: Path) -> None:
        segmenter = HubSegmenter(network(MEASURES["segmentation"].repo))
        wanted = coloured(segmenter.segment(picture()))
        wanted[:40] = 0
        assert (classes_of(wanted, ade20k.LABELS)[:40] == UNLABELLED).all()
        assert segmenter.score(picture(), wanted) == 1

    def test_coco_stuffs_classes_are_found_by_name_in_coco_s_panoptic_ones(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        panoptic = ("person", "tree-merged", "sky-other-merged", "sea", "rug-merged")
        folder = tmp_path / "work"
        judging.segmenter(panoptic).save_pretrained(folder)
        judging.SegformerImageProcessor(size=judging.SIDES).save_pretrained(folder)
        smallhub.published(tmp_path, "someone/coco", folder)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        segmenter = HubSegmenter(network("someone/coco"))
        assert segmenter.classes == panoptic
        merged = {"tree-merged": "bush", "sky-other-merged": "clouds", "rug-merged": "mat"}
        wanted = np.array([coco_stuff.NAMES.index(merged.get(name, name)) for name in panoptic])
        labels = wanted[segmenter.segment(picture())]
        shared = segmenter.overlaps(picture(), labels, coco_stuff.NAMES)
        assert all(ours == theirs for ours, theirs in shared.values())
        labels[:10] = coco_stuff.NAMES.index("giraffe")  # a class that it has not is not counted against the picture
        assert sum(both for _, both in segmenter.overlaps(picture(), labels, coco_stuff.NAMES).values()) == 86 * 128
        with pytest.raises(ModelUnavailable, match=r"5 classes.* 2"):
            segmenter.overlaps(picture(), labels, ("dragon", "castle"))


def test_depth_is_the_error_in_grey_levels(hub: Path) -> None:
    from hgc.judges.depth import DepthEstimator

    depth = DepthEstimator(network(MEASURES["depth"].repo)).depth(picture())
    assert (depth.shape, depth.min(), depth.max()) == (SIZE, 0, 255)
    score = Judges(CPU).score(picture(), np.repeat(np.round(depth)[..., None], 3, 2).astype(np.uint8), "depth")
    assert 0 <= score < 0.5  # rounding
    dark = Judges(CPU).score(picture(), np.zeros((*SIZE, 3), np.uint8), "depth")
    assert dark == pytest.approx(float(np.sqrt((depth**2).mean())), rel=1e-4)


class TestPose:
    PLACES = (((40, 20), 0), ((40, 40), 6), ((20, 60), 8), ((100, 70), 5))  # of COCO's keypoints, two people

    def drawn(self) -> NDArray[np.uint8]:
        """As controlnet_aux draws: dimmer limbs first, then a disc for each joint."""
        canvas = np.zeros((*SIZE, 3), np.uint8)
        colours = {keypoint: colour for colour, keypoint in JOINTS}
        cv2.line(canvas, (40, 20), (40, 40), (153, 0, 0), 4)
        cv2.line(canvas, (40, 40), (20, 60), (153, 102, 0), 4)
        for place, keypoint in self.PLACES:
            cv2.circle(canvas, place, 4, colours[keypoint], thickness=-1)
        return canvas

    def test_joints_and_people_are_read_from_the_drawing(self) -> None:
        first, second = sorted(people(self.drawn()), key=lambda person: -len(person.points))
        assert set(first.points) == {0, 6, 8}
        assert first.points[8] == pytest.approx((20, 60), abs=0.5)
        assert set(second.points) == {5}
        x, y, width, height = first.box
        assert (x < 20, y < 20, x + width > 40, y + height > 60) == (True,) * 4

    def test_openpose_s_own_drawing_is_read(self) -> None:
        from controlnet_aux.open_pose.body import Keypoint
        from controlnet_aux.open_pose.util import draw_bodypose

        joints = [Keypoint(0.2 + 0.03 * i, 0.1 + 0.04 * (i % 9), 1.0, i) for i in range(18)]
        canvas = draw_bodypose(np.zeros((512, 512, 3), np.uint8), joints)
        (person,) = people(canvas)
        assert len(person.points) >= 15  # those that no later disc covers
        nose = person.points[0]
        assert nose == pytest.approx((0.2 * 512, 0.1 * 512), abs=2)

    def test_similarity_is_coco_s(self) -> None:
        wanted, area = {0: (10.0, 10.0), 5: (30.0, 20.0)}, 900.0
        assert keypoint_similarity(wanted, wanted, area) == 1
        off = {0: (10.0, 13.0)}  # three pixels off, and one joint missing
        by_hand = np.exp(-9 / (2 * 900 * (2 * SIGMAS[0]) ** 2)) / 2
        assert keypoint_similarity(off, wanted, area) == pytest.approx(by_hand)

    def test_a_network_is_asked_in_the_boxes_of_the_drawing(self, hub: Path) -> None:
        assert 0 <= Judges(CPU).score(picture(), self.drawn(), "pose") <= 1
        assert np.isnan(Judges(CPU).score(picture(), np.zeros((*SIZE, 3), np.uint8), "pose"))


def test_what_is_not_here_is_refused_with_the_command_that_fetches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for control, measure in MEASURES.items():
        if measure.repo:
            with pytest.raises(ModelUnavailable, match=f"hgc models fetch {measure.repo}") as error:
                Judges(CPU).score(picture(), picture(), control)
            assert "\n" not in str(error.value)
    with pytest.raises(ModelUnavailable, match="'tile'"):
        Judges(CPU).score(picture(), picture(), "tile")
    with pytest.raises(ModelUnavailable, match=f"hgc models fetch {table.LPIPS_NETWORK}"):
        Judges(CPU).perceptual(picture(), picture())


def test_broken_weights_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = MEASURES["depth"].repo
    judging.publish(tmp_path, repo)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    weights = network(repo).folder / "model.safetensors"
    weights.resolve().write_bytes(b"no weights")
    with pytest.raises(ModelUnavailable, match="cannot be used") as error:
        Judges(CPU).score(picture(), picture(), "depth")
    assert "\n" not in str(error.value)


def test_networks_are_asked_on_an_accelerator_or_where_somebody_wants_them(hub: Path) -> None:
    preset = presets()["sd15"]
    assert np.isnan(Judge.of(preset, CPU).score(picture(), picture(), "depth"))
    assert Judge.of(preset, CPU).notes("depth") == ()
    wanted = Judge.of(preset, CPU, networks=True)
    assert wanted.score(picture(), picture(), "depth") > 0
    assert wanted.name("depth") == MEASURES["depth"].repo
    assert Judge.of(preset, torch.device("cuda")).name("depth") == MEASURES["depth"].repo
    (note,) = wanted.notes("depth")
    assert note.startswith("There is no perceptual difference: the network of LPIPS")


def test_the_result_says_who_judged(on_small_hub: Path) -> None:
    studio = Studio.load("sd15", device="cpu")
    control = np.zeros((128, 128, 3), np.uint8)
    cv2.circle(control, (64, 64), 4, (255, 0, 0), thickness=-1)
    png = studio.prepare_control(control, "edges", size=(128, 128)).png
    fields = {"model": "sd15", "control": "edges", "steps": 2, "method": "hgc", "budget": 0.9, "size": (128, 128)}
    request = Request.make(png, **fields)

    def made() -> Comparison:
        (result,) = (news for news in studio.compare(request) if isinstance(news, Comparison))
        return result

    assert made().made.judge == "Canny"
    studio.judge_by_networks()
    result = made()
    assert result.figures()["judge"] == "Canny"
    assert any(table.LPIPS_NETWORK in note for note in result.notes)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub of the networks behind torchmetrics' figures."""
    home = tmp_path_factory.mktemp("metrics")
    judging.publish(home, table.LPIPS_NETWORK, table.CLIP_NETWORK, table.FID_NETWORK)
    return home


@measured
class TestByTorchmetrics:
    @pytest.fixture(autouse=True)
    def _there(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))

    def test_lpips_grows_with_the_difference(self) -> None:
        judges = Judges(CPU)
        small = picture()[:48, :48]
        assert judges.perceptual(small, small) == 0
        found = [judges.perceptual(small, cv2.GaussianBlur(small, (0, 0), sigma)) for sigma in (0.5, 1, 2)]
        assert found == sorted(found)
        assert found[0] > 0

    def test_lpips_is_torchmetrics_with_the_hubs_weights(self) -> None:
        from torchmetrics.functional.image.lpips import _NoTrainLpips

        own, network_ = _NoTrainLpips(net="vgg", pnet_rand=True), network(table.LPIPS_NETWORK)
        layers = network_.weights()
        for number in range(1, 6):
            for name, parameter in getattr(own.net, f"slice{number}").named_parameters():
                parameter.data.copy_(layers[f"features.{name}"])
        small = [picture(seed)[:48, :48] for seed in (0, 1)]
        expected = float(own(*(torch.from_numpy(p).permute(2, 0, 1)[None] / 127.5 - 1 for p in small)).squeeze())
        assert Judges(CPU).perceptual(*small) == pytest.approx(expected, rel=1e-4)

    def test_the_caption_score_is_the_cosine(self) -> None:
        from transformers import AutoTokenizer, CLIPModel

        from hgc.judges.pictures import CaptionScore

        judge, place = CaptionScore(network(table.CLIP_NETWORK)), network(table.CLIP_NETWORK).folder
        clip, words = CLIPModel.from_pretrained(place).eval(), "a cabin by a lake"
        tokens = AutoTokenizer.from_pretrained(place)([words], return_tensors="pt", padding=True)
        pixels = network(table.CLIP_NETWORK).processor(images=picture(), return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            text = clip.get_text_features(**tokens).pooler_output
            seen = clip.get_image_features(pixel_values=pixels).pooler_output
        cosine = float(torch.cosine_similarity(text, seen))
        assert judge.score(picture(), words) == pytest.approx(max(0, 100 * cosine), abs=1e-3)
        assert judge.score(picture(), words) == judge.score(picture(), words)  # nothing is added up

    def test_inceptions_features_and_the_distance_of_two_crowds(self) -> None:
        from hgc.judges.pictures import FEATURES, Inception, frechet_distance

        features = Inception(network(table.FID_NETWORK)).features(picture())
        assert features.shape == (FEATURES,)
        assert np.isfinite(features).all()
        rng, width = np.random.default_rng(0), 8
        crowd = rng.normal(size=(64, width)).astype(np.float32)
        assert frechet_distance(crowd, crowd, width) == pytest.approx(0, abs=1e-6)
        # Of equal covariances the distance is that of the means, squared.
        assert frechet_distance(crowd, crowd + 2, width) == pytest.approx(4 * width, rel=1e-5)

    def test_weights_of_another_network_are_refused(self) -> None:
        from hgc.judges.pictures import Inception

        with pytest.raises(ModelUnavailable, match="has no weights"):
            Inception(network(table.LPIPS_NETWORK)).features(picture())
