"""A scene as an SVG document: self-contained, without script, every text escaped, for light and dark screens.

Up to four domains are drawn open: their NVSwitch above, GPUs node by node, leaf switches below, the spine at the
foot. More domains become a grid of cells that fill with use. Red is the edge that the job's GPUs wait for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import combinations
from typing import Final

from csched.topology.graph import Medium
from csched.topology.scene import DomainScene, NodeScene, PartitionScene, Scene, Use, described
from csched.topology.site_graph import nic_count

_WIDTH: Final = 1080.0
_MARGIN: Final = 30.0
_INNER: Final = _WIDTH - 2 * _MARGIN
_LINE: Final = 20.0
_BAR: Final = 24.0
_TRUNK: Final = 26.0
"""Height that the links between a bar and the GPUs take."""
_MOST_OPEN_DOMAINS: Final = 4
_STYLE: Final = """
text { font: 13px system-ui, "DejaVu Sans", sans-serif; fill: #1f2933 }
.title { font-size: 21px; font-weight: 600 } .quiet { fill: #616e7c; font-size: 12px }
.paper { fill: #fff } .node { fill: #fff; stroke: #cbd2d9 }
.free { fill: #e9eef3; stroke: #9aa5b1 } .used { fill: #829ab1; stroke: #52708f }
.job { fill: #2b6cb0; stroke: #1a4971 } .nvswitch { fill: #d5ebdc; stroke: #5a9e74 }
.switch { fill: #e6e4f4; stroke: #8a84c4 }
.nvlink { fill: none; stroke: #5a9e74; stroke-width: 1.5 } .fabric { fill: none; stroke: #8a84c4; stroke-width: 1.5 }
.slow { fill: none; stroke: #c53030; stroke-width: 3 } .slowtext { fill: #c53030; font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e7eb } .quiet { fill: #9aa5b1 } .paper { fill: #12161b }
  .node { fill: #12161b; stroke: #3e4c59 } .free { fill: #27313c; stroke: #52606d }
  .used { fill: #5f7791; stroke: #829ab1 }
  .job { fill: #4299e1; stroke: #90cdf4 } .nvswitch { fill: #1c3a2a; stroke: #5a9e74 }
  .switch { fill: #2a2750; stroke: #8a84c4 } .slow { stroke: #fc8181 } .slowtext { fill: #fc8181 }
}
"""


@dataclass
class _Paper:
    """Collects shapes; `y` is where the next one begins."""

    y: float = _MARGIN
    shapes: list[str] = field(default_factory=list)

    def rect(  # a shape is its class and four numbers, as in SVG itself
        self, css: str, x: float, y: float, width: float, height: float, *, title: str = ""
    ) -> None:
        place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4"'
        inner = f"<title>{escape(title)}</title>" if title else ""
        self.shapes.append(f'<rect class="{css}" {place}>{inner}</rect>')

    def path(self, css: str, *steps: str) -> None:
        self.shapes.append(f'<path class="{css}" d="{" ".join(steps)}"/>')

    def text(self, words: str, x: float, y: float, css: str = "", anchor: str = "start") -> None:
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        self.shapes.append(f'<text class="{css}" {place}>{escape(words)}</text>')

    def bar(self, css: str, words: str) -> None:
        """A switch, as wide as the drawing."""
        self.rect(css, _MARGIN, self.y, _INNER, _BAR)
        self.text(words, _WIDTH / 2, self.y + 17, anchor="middle")
        self.y += _BAR


def document(scene: Scene) -> str:
    """The whole drawing."""
    paper = _Paper()
    paper.text(scene.title, _MARGIN, paper.y + 8, "title")
    paper.y += 1.7 * _LINE
    for partition in scene.partitions:
        _partition(paper, partition, scene)
    _legend(paper, scene)
    height = paper.y + _MARGIN / 2
    size = f'viewBox="0 0 {_WIDTH:.0f} {height:.0f}" width="{_WIDTH:.0f}" height="{height:.0f}"'
    label = escape(f"Topology of {scene.title}", quote=True)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}">'
    ground = '<rect class="paper" width="100%" height="100%"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", ground, *paper.shapes, "</svg>", ""])


def _partition(paper: _Paper, partition: PartitionScene, scene: Scene) -> None:
    paper.text(described(partition), _MARGIN, paper.y)
    paper.y += 0.8 * _LINE
    slow = scene.slowest.medium if scene.slowest else None
    tiers = dict(partition.switches)
    if len(partition.domains) > _MOST_OPEN_DOMAINS:
        _grid(paper, partition.domains, slow=slow is Medium.FABRIC)
    elif partition.hardware.nodes_per_domain == 1:
        _boxes(paper, partition, slow)
        _leaf_bar(paper, partition, len(partition.domains))
        tiers.pop("leaf", None)
    else:
        for domain in partition.domains:
            _rack(paper, partition, domain, slow)
            _leaf_bar(paper, partition, 1)
        tiers.pop("leaf", None)
    for tier, count in tiers.items():
        _tier_bar(paper, tier, count)
    paper.y += 1.3 * _LINE


def _tier_bar(paper: _Paper, tier: str, count: int) -> None:
    top = paper.y
    paper.y += 12
    for share in (0.25, 0.5, 0.75):
        paper.path("fabric", f"M{_MARGIN + share * _INNER:.1f} {top:.1f}V{paper.y:.1f}")
    paper.bar("switch", f"{count:,} {tier} switch{'es' if count > 1 else ''}")


def _leaf_bar(paper: _Paper, partition: PartitionScene, domains: int) -> None:
    """The leaf switches that `domains` domains hang on: one for each rail, when they are of one group."""
    rails, leaves = nic_count(partition.hardware), partition.switches.get("leaf")
    if rails:
        whole = leaves == rails or domains > 1
        count = f"{leaves if whole else f'{rails} of {leaves:,}'} leaf switches" if leaves else "fabric"
        paper.bar("switch", f"{count}, {partition.hardware.nic_gb_per_s or 0:g} GB/s from each GPU, one direction")


def _boxes(paper: _Paper, partition: PartitionScene, slow: Medium | None) -> None:
    """Nodes that are their own domain, side by side: every NVLink and every NIC is a line of its own."""
    kind, top = partition.hardware, paper.y
    cell = _INNER / len(partition.domains)
    gpu = min(48.0, (cell - 36) / kind.gpus_per_node - 6)
    arcs = 2.6 * gpu if kind.nvlink_graph in {"mesh", "irregular"} else 0.0
    switched = kind.nvlink_graph == "switch" and kind.nvlink_gb_per_s
    nics = nic_count(kind)
    for number, domain in enumerate(partition.domains):
        node = domain.nodes[0]
        width = kind.gpus_per_node * (gpu + 6) + 14
        x = _MARGIN + number * cell + (cell - width) / 2
        y = top + 8 + (_BAR + _TRUNK if switched else 0)
        height = gpu + 34 + arcs
        centres = [x + 10 + position * (gpu + 6) + gpu / 2 for position in range(kind.gpus_per_node)]
        for rail in range(nics):
            shared = centres[rail * len(centres) // nics : (rail + 1) * len(centres) // nics]
            has_job = Use.JOB in node.gpus[rail * len(centres) // nics : (rail + 1) * len(centres) // nics]
            css = "slow" if slow is Medium.FABRIC and has_job else "fabric"
            middle = sum(shared) / len(shared)
            paper.path(css, f"M{middle:.1f} {y + height:.1f}V{y + height + _TRUNK:.1f}")
        _node(paper, node, (x, y), (width, height), gpu=gpu, arcs=arcs)
        if switched:
            paper.rect("nvswitch", x, top + 8, width, _BAR)
            paper.text(f"NVSwitch, {kind.nvlink_gb_per_s:g} GB/s", x + width / 2, top + 25, anchor="middle")
            for position, centre in enumerate(centres):
                css = "slow" if slow is Medium.NVLINK and node.gpus[position] is Use.JOB else "nvlink"
                paper.path(css, f"M{centre:.1f} {top + 8 + _BAR:.1f}V{y + 8:.1f}")
        paper.y = y + height + (_TRUNK if nics else 8)


def _rack(paper: _Paper, partition: PartitionScene, domain: DomainScene, slow: Medium | None) -> None:
    """A domain of many nodes: NVSwitch above, nodes in rows, a link of each column to NVSwitch and leaf switches."""
    kind = partition.hardware
    columns = min(len(domain.nodes), max(1, 36 // kind.gpus_per_node))
    cell = min(_INNER / columns, 260.0)
    left = _MARGIN + (_INNER - columns * cell + 10) / 2
    gpu = (cell - 22) / kind.gpus_per_node - 6
    height = gpu + 30
    rows = [domain.nodes[first : first + columns] for first in range(0, len(domain.nodes), columns)]
    paper.y += 8
    paper.bar("nvswitch", f"{domain.name}: NVSwitch, {kind.nvlink_gb_per_s or 0:g} GB/s to each GPU, one direction")
    top = paper.y
    below = top + _TRUNK + len(rows) * (height + 12) - 12
    for column in range(columns):
        has_job = any(column < len(row) and Use.JOB in row[column].gpus for row in rows)
        nvlink = "slow" if slow is Medium.NVLINK and has_job else "nvlink"
        fabric = "slow" if slow is Medium.FABRIC and has_job else "fabric"
        x = left + column * cell
        paper.path(nvlink, f"M{x + 6:.1f} {top:.1f}V{below - height:.1f}")
        paper.path(fabric, f"M{x + cell - 16:.1f} {top + _TRUNK + height:.1f}V{below + _TRUNK:.1f}")
    for number, row in enumerate(rows):
        for column, node in enumerate(row):
            place = (left + column * cell, top + _TRUNK + number * (height + 12))
            _node(paper, node, place, (cell - 10, height), gpu=gpu)
    paper.y = below + _TRUNK


def _node(
    paper: _Paper,
    node: NodeScene,
    place: tuple[float, float],
    size: tuple[float, float],
    *,
    gpu: float,
    arcs: float = 0.0,
) -> None:
    """A node with its GPUs, of side `gpu`, in a row; pair edges of a mesh take `arcs` of height above them."""
    (x, y), (width, height) = place, size
    paper.rect("node", x, y, width, height)
    inset = (width - len(node.gpus) * (gpu + 6) + 6) / 2
    paper.text(node.name.rsplit("-", 1)[-1], x + inset, y + height - 8, "quiet")
    centres = [x + inset + position * (gpu + 6) + gpu / 2 for position in range(len(node.gpus))]
    base = y + 8 + arcs
    for one, other in combinations(range(len(centres)) if arcs else (), 2):
        left, right = centres[one], centres[other]
        rise = arcs * (other - one) / (len(centres) - 1) * 1.8
        curve = f"Q{(left + right) / 2:.1f} {base - rise:.1f} {right:.1f} {base:.1f}"
        paper.path("nvlink", f"M{left:.1f} {base:.1f}", curve)
    for position, use in enumerate(node.gpus):
        title = f"{node.name}/g{position}: {use.value}"
        paper.rect(use.value, centres[position] - gpu / 2, base, gpu, gpu, title=title)


def _grid(paper: _Paper, domains: Sequence[DomainScene], *, slow: bool) -> None:
    """Cells that fill from below; those of the job in its colour, framed red where the job waits for the fabric."""
    side = 26.0 if len(domains) <= 400 else 12.0
    columns = int(_INNER // (side + 4))
    paper.y += 4
    top = paper.y
    for number, domain in enumerate(domains):
        x, y = _MARGIN + number % columns * (side + 4), top + number // columns * (side + 4)
        taken = len(domain.gpus) - domain.gpus.count(Use.FREE)
        job = Use.JOB in domain.gpus
        paper.rect("free", x, y, side, side, title=f"{domain.name}: {taken} of {len(domain.gpus)} GPUs used")
        if taken:
            height = side * taken / len(domain.gpus)
            paper.rect("job" if job else "used", x, y + side - height, side, height)
        if job and slow:
            paper.rect("slow", x, y, side, side)
    paper.y = top + -(-len(domains) // columns) * (side + 4) + 2


def _legend(paper: _Paper, scene: Scene) -> None:
    x = _MARGIN
    names = {Use.FREE: "free", Use.USED: "used", Use.JOB: f"job {scene.job}"}
    for use, words in names.items():
        if use is Use.JOB and scene.job is None:
            continue
        paper.rect(use.value, x, paper.y - 11, 14, 14)
        paper.text(words, x + 20, paper.y, "quiet")
        x += 40 + 7 * len(words)
    if scene.slowest:
        paper.path("slow", f"M{x:.1f} {paper.y - 4:.1f}H{x + 22:.1f}")
        paper.text(f"slowest edge of the job: {scene.slowest}", x + 30, paper.y, "quiet")
    paper.y += 6
