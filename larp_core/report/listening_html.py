"""What the listening page shows and how it looks: one HTML file without scripts, styles or fonts from elsewhere.

Names come from users and may hold anything: `escape` is the only way of theirs into the page, and `<bdi>` keeps names
that are written from right to left from turning their neighbours around.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from larp_core.report.html_page import html_page

STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --dim: #5f6670; --paper: #fafafa; --card: #fff; --line: #d9dce1;
  --hit: #0a6b3d; --hit-paper: #e3f5ea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e9ec; --dim: #a0a7b1; --paper: #15171a; --card: #1e2125;
  --line: #383d44; --hit: #7fdcaa; --hit-paper: #163526; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 80rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin: 0; } h3 { font-size: 1rem; margin: 0; }
.intro { max-width: 48rem; } .dim, .artist { color: var(--dim); } .dim { font-size: .9rem; margin: .2rem 0 .8rem; }
section { margin-top: 1.5rem; padding: 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; }
.lists { display: grid; gap: 1.5rem; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 64rem) { .lists { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
ol, ul { margin: 0; padding: 0; list-style: none; } ol { counter-reset: rank; }
.lists li { display: grid; gap: .1rem .8rem; grid-template-columns: minmax(0, 1fr) 15rem; align-items: center;
  padding: .4rem .5rem; border-top: 1px solid var(--line); border-left: 4px solid transparent; }
ol > li { counter-increment: rank; } ol .title::before { content: counter(rank) ". "; color: var(--dim); }
.artist { display: block; font-size: .9rem; }
li.hit { background: var(--hit-paper); border-left-color: var(--hit); }
.badge { color: var(--hit); font-weight: 700; font-size: .85rem; white-space: nowrap; }
.silent { color: var(--dim); font-size: .85rem; } audio { width: 100%; height: 2.2rem; display: block; }
@media (max-width: 34rem) { .lists li { grid-template-columns: minmax(0, 1fr); } }
"""

SCRIPT = """
document.addEventListener("play", (event) => {
  for (const player of document.querySelectorAll("audio")) if (player !== event.target) player.pause();
}, true);
"""
"""One player at a time; `play` does not bubble, so it is caught on its way down."""


@dataclass(frozen=True)
class ShownTrack:
    """One track of a list.

    Attributes:
        title: the track's uri where the dataset names none.
        link: the clip's file as seen from the page, percent-encoded; None where there is no audio.
        remark: why there is no audio, or what to be wary of in the clip; mostly empty.
        is_hit: the recommender found a target.
    """

    title: str
    artist: str | None
    link: str | None
    remark: str
    is_hit: bool


@dataclass(frozen=True)
class Continuation:
    """One test playlist: what the recommender was shown and what it answered, best first.

    Attributes:
        name: None where it has none; `source_id` is what the raw files call it.
        num_seeds: all of them; `seeds` may be fewer.
        is_arbitrary: no seed has a vector, so that the order of the answer means nothing.
    """

    name: str | None
    source_id: str
    num_seeds: int
    seeds: list[ShownTrack]
    answer: list[ShownTrack]
    num_targets: int
    recall: float
    is_arbitrary: bool

    @property
    def num_hits(self) -> int:
        return sum(track.is_hit for track in self.answer)


@dataclass(frozen=True)
class Listening:
    """All that the page shows; `mean_recall` and `random_recall` are over all `num_test_playlists`, at `k`."""

    title: str
    recipe: str
    recipe_summary: str
    recommender: str
    k: int
    draw_seed: int
    num_test_playlists: int
    num_candidates: int
    mean_recall: float
    random_recall: float
    continuations: list[Continuation]


def render(listening: Listening) -> str:
    """The whole page. The same content gives the same bytes."""
    title = f"Listen: {listening.title}"
    sections = "\n".join(
        _section(number, shown, listening.k) for number, shown in enumerate(listening.continuations, 1)
    )
    return html_page(title, STYLE, f"{_intro(listening)}\n{sections}\n<script>{SCRIPT}</script>")


def _intro(listening: Listening) -> str:
    num_shown, k = len(listening.continuations), listening.k
    return f"""<div class="intro">
<p>{num_shown} test playlists and how {escape(listening.recommender)} continues them. None of their songs is in the
training split: the model goes by a song's caption and the ten seconds that you hear, or by the caption alone where
there is no audio.</p>
<p>Each playlist was cut in two. Its <strong>seeds</strong> were shown to the recommender; the rest, its
<strong>targets</strong>, were hidden. The <strong>continuation</strong> is the {k} tracks that it ranks first among the
{listening.num_candidates:,} test tracks but the seeds. <span class="badge">✓ hit</span> marks those that are targets;
Recall@{k} is the share of the playlist's targets that are hits. A track without the mark may fit as well: it did not
stand in the playlist, and that is all that is known.</p>
<p>The playlists were drawn by a hash of their id and the random seed {listening.draw_seed}, not by how well they do.
Over all {listening.num_test_playlists:,} test playlists Recall@{k} is {listening.mean_recall:.3f}; a random order gives
{listening.random_recall:.3f}.</p>
<p class="dim">Recipe {escape(listening.recipe)}: {escape(listening.recipe_summary)}</p>
</div>"""


def _section(number: int, shown: Continuation, k: int) -> str:
    name = f"<bdi>{escape(shown.name)}</bdi>" if shown.name else "without a name"
    seeds = "all of them" if len(shown.seeds) == shown.num_seeds else f"{len(shown.seeds)} of them, drawn by hash"
    warning = ""
    if shown.is_arbitrary:
        warning = (
            '\n<p class="dim">None of its seeds has a vector, so the order of this continuation means nothing.</p>'
        )
    return f"""<section>
<h2>{number}. Playlist {name}</h2>
<p class="dim">number {escape(shown.source_id)} in the raw files · {shown.num_seeds} seeds, {shown.num_targets}
targets · {shown.num_hits} of {len(shown.answer)} are hits · Recall@{k} {shown.recall:.3f}</p>{warning}
<div class="lists">
<div>
<h3>Seeds ({seeds})</h3>
<ul>
{_items(shown.seeds)}
</ul>
</div>
<div>
<h3>Continuation</h3>
<ol>
{_items(shown.answer)}
</ol>
</div>
</div>
</section>"""


def _items(tracks: Sequence[ShownTrack]) -> str:
    return "\n".join(_item(track) for track in tracks)


def _item(track: ShownTrack) -> str:
    artist = track.artist or "unknown artist"
    attribute, badge = (' class="hit"', ' <span class="badge">✓ hit</span>') if track.is_hit else ("", "")
    if track.link is None:
        sound = f'<span class="silent">no audio: {escape(track.remark)}</span>'
    else:
        remark = f'<span class="silent">{escape(track.remark)}</span>' if track.remark else ""
        label = escape(f"{track.title}, {artist}")
        sound = f'<audio controls preload="none" src="{escape(track.link)}" aria-label="{label}"></audio>{remark}'
    return (
        f'<li{attribute}><div><span class="title"><bdi>{escape(track.title)}</bdi></span>{badge}'
        f'<bdi class="artist">{escape(artist)}</bdi></div><div>{sound}</div></li>'
    )
