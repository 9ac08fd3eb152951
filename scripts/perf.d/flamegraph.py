#!/usr/bin/python3
"""Draws a flame graph from what `perf script` prints. Usage: perf script ... | flamegraph.py TITLE UNIT FOLDED.txt GRAPH.svg

FOLDED.txt gets one line a stack, outermost function first, as other tools read it. In the SVG a function is as wide as its share
of the samples, callees lie above their callers; the names and figures of narrow ones show when the mouse is over them.
"""
import re
import sys
import types
import zlib
from xml.sax.saxutils import escape

WIDTH, ROW, MARGIN, CHARACTER = 1400, 17, 10, 6.6
NARROWEST = 0.3
FRAME = re.compile(r"^\s+[0-9a-f]+\s+(.+?)\s+\((.*)\)$")


def frame_name(text, library):
    """The function; without one, the library it lies in."""
    name = re.sub(r"\+0x[0-9a-f]+$", "", text)
    return f"[{library.rsplit('/', 1)[-1]}]" if name == "[unknown]" else name


def fold(lines):
    """Stack, a tuple beginning with the command's name -> number of samples; and function -> library."""
    stacks, libraries, command, frames = {}, {}, None, []
    for line in [*lines, ""]:
        match = FRAME.match(line)
        if match and command is not None:
            frames.append(frame_name(match[1], match[2]))
            libraries[frames[-1]] = match[2]
        elif line.strip() and not line[0].isspace():
            command = line.split()[0]
        elif not line.strip() and command is not None:
            stack = (command, *reversed(frames))
            stacks[stack] = stacks.get(stack, 0) + 1
            command, frames = None, []
    return stacks, libraries


def build_tree(stacks):
    """[name, samples, {name: child}]"""
    root = ["all", 0, {}]
    for stack, count in stacks.items():
        node = root
        node[1] += count
        for name in stack:
            node = node[2].setdefault(name, [name, 0, {}])
            node[1] += count
    return root


def depth_of(node):
    return 1 + max((depth_of(child) for child in node[2].values()), default=0)


def colour(name, library):
    """Ours in blues, the kernel's in greens, everything else in warm colours; the same name always the same."""
    shade = zlib.crc32(name.encode()) % 60
    if "hmalloc" in library:
        return f"rgb({100 + shade},{150 + shade},235)"
    if library.startswith("[") or library.endswith(".ko"):
        return f"rgb({120 + shade},205,{110 + shade})"
    return f"rgb(235,{130 + shade},{60 + shade})"


def draw_node(node, left, level, graph):
    """graph: what is the same for all nodes."""
    width = node[1] * graph.scale
    if width < NARROWEST:
        return
    top = graph.height - MARGIN - (level + 1) * ROW
    label = f"{escape(node[0])} ({node[1]} {graph.unit}, {node[1] / graph.total * 100:.1f} %)"
    fill = colour(node[0], graph.libraries.get(node[0], ""))
    graph.out.append(f'<g><title>{label}</title><rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW - 1}" fill="{fill}"/>')
    room = int((width - 4) / CHARACTER)
    if room >= 3:
        text = escape(node[0] if len(node[0]) <= room else node[0][:room - 2] + "..")
        graph.out.append(f'<text x="{left + 2:.1f}" y="{top + ROW - 5}">{text}</text>')
    graph.out.append("</g>")
    for _, child in sorted(node[2].items()):
        draw_node(child, left, level + 1, graph)
        left += child[1] * graph.scale


def draw(stacks, libraries, title, unit):
    root = build_tree(stacks)
    height, total = depth_of(root) * ROW + 3 * MARGIN + ROW, max(root[1], 1)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
           "<style>text { font: 11px monospace } rect:hover { stroke: black }</style>",
           f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
           f'<text x="{MARGIN}" y="{MARGIN + 8}">{escape(title)}: {root[1]} {unit}</text>']
    draw_node(root, MARGIN, 0, types.SimpleNamespace(scale=(WIDTH - 2 * MARGIN) / total, height=height, total=total, unit=unit,
                                                     libraries=libraries, out=out))
    return "\n".join([*out, "</svg>", ""])


def main():
    title, unit, folded, graph = sys.argv[1:5]
    stacks, libraries = fold(line.rstrip("\n") for line in sys.stdin)
    with open(folded, "w", encoding="utf-8") as file:
        file.writelines(f"{';'.join(stack)} {count}\n" for stack, count in sorted(stacks.items()))
    with open(graph, "w", encoding="utf-8") as file:
        file.write(draw(stacks, libraries, title, unit))
    return 0 if stacks else 1


if __name__ == "__main__":
    sys.setrecursionlimit(10000)
    sys.exit(main())
