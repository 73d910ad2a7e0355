"""A scrollable viewer in one HTML file: every slice, every mask to switch on and off, nothing loaded from outside."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medtools.systems.covid_severity.model import ARTEFACT
from medtools.systems.covid_severity.overlay import (
    CATEGORIES,
    LOBE_COLOURS,
    LUNG_COLOURS,
    ZONE_COLOUR,
    categories,
    grey,
    lung_box,
    visible,
)

_QUALITY = 80
_LOBE_SHIFT, _ZONE_BIT = 3, 6


def viewer_html(
    hu: NDArray[Any],
    lobes: NDArray[np.uint8],
    regions: NDArray[np.uint8],
    spacing: tuple[float, float, float],
    *,
    title: str,
    table: Sequence[Mapping[str, str]],
    lung_only: bool = False,
) -> str:
    """Return the viewer of one scan.

    Parameters
    ----------
    hu, lobes, regions : (n_slices, height, width) array
        Slices head to feet, rows front to back, columns from the patient's right to left.
    spacing : tuple of float
        Slice distance, row and column spacing in mm.
    title : str
        Which scan this is, and its score.
    table : sequence of mapping
        Rows shown below the image, all with the same keys.
    lung_only : bool
        The mask tells lungs apart, not lobes.
    """
    occupied = np.flatnonzero(lobes.any(axis=(1, 2)))
    first, last = max(int(occupied[0]) - 1, 0), min(int(occupied[-1]) + 2, len(hu))
    box = lung_box(lobes, round(15 / spacing[1]))
    slices = [
        [_jpeg(grey(hu[index][box])), _png(codes(lobes[index][box], regions[index][box]))]
        for index in range(first, last)
    ]
    named = LUNG_COLOURS if lung_only else LOBE_COLOURS
    settings = {
        "first": first,
        "total": len(hu),
        "millimetres": spacing[0],
        "aspect": spacing[1] / spacing[2],
        "height": lobes[first][box].shape[0],
        "width": lobes[first][box].shape[1],
        "categories": [[number, name, colour] for number, (name, colour) in CATEGORIES.items()],
        "lobes": [[number, name, colour] for number, (name, colour) in named.items()],
        "zone": ZONE_COLOUR,
        "start": int(np.argmax(_infected_area(regions[first:last]))),
    }
    return Template(_PAGE).substitute(
        title=html.escape(title),
        settings=_script_json(settings),
        slices=_script_json(slices),
        table=_table(table),
        lobe_word="lungs" if lung_only else "lobes",
    )


def index_html(rows: Sequence[Mapping[str, Any]], *, viewers: bool) -> str:
    """Return a page that lists all scans with their scores, each with its montage and its viewer.

    Parameters
    ----------
    rows : sequence of mapping
        `id`, `total`, `class` and `notes` of each scan; its files lie in the folder of that name.
    viewers : bool
        Whether every scan has a `viewer.html`.
    """
    lines = []
    for row in rows:
        folder = quote(str(row["id"]))
        name = html.escape(str(row["id"]))
        scan = f'<a href="{folder}/viewer.html">{name}</a>' if viewers else name
        total = "no score" if row["total"] is None else f"{row['total']} of 25, {row['class']}"
        picture = f'<a href="{folder}/montage.png"><img loading="lazy" src="{folder}/montage.png" alt="{name}"></a>'
        cells = (scan, html.escape(total), html.escape(str(row["notes"])), picture)
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return Template(_INDEX).substitute(count=len(rows), rows="\n".join(lines))


def codes(lobes: NDArray[np.uint8], regions: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pack a slice into one byte per pixel: category (bits 0-2), lobe (3-5), artefact zone (6)."""
    shown = visible(regions, lobes)
    zone = ((shown & ARTEFACT) != 0).astype(np.uint8)
    return categories(shown) | (lobes << _LOBE_SHIFT) | (zone << _ZONE_BIT)


def _infected_area(regions: NDArray[np.uint8]) -> NDArray[np.int64]:
    areas = np.array([np.count_nonzero(categories(image) == 1) for image in regions])
    return areas if areas.any() else np.array([np.count_nonzero(image) for image in regions])


def _jpeg(image: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _png(image: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _script_json(content: Any) -> str:
    return json.dumps(content).replace("</", "<\\/")


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in rows[0]) if rows else ""
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row.values()) + "</tr>" for row in rows)
    return f"<table><tr>{heads}</tr>{body}</table>"


_INDEX = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>CT severity scores</title>
<style>
body{font:14px system-ui,sans-serif;margin:1rem}table{border-collapse:collapse}
td,th{border:1px solid #ccc;padding:.3rem .6rem;text-align:left;vertical-align:top}img{width:420px;max-width:40vw}
</style></head><body>
<h1>CT severity scores of $count scans</h1>
<table><tr><th>scan</th><th>score</th><th>notes</th><th>slices</th></tr>
$rows
</table>
<p><small>For research; not a medical device. Numbers: predictions.tsv.</small></p></body></html>
"""
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<style>
body{margin:0;background:#111;color:#ddd;font:14px system-ui,sans-serif}
main{display:flex;flex-wrap:wrap;gap:1.2rem;padding:.8rem}
canvas{image-rendering:auto;background:#000;max-width:100%;height:auto;cursor:ns-resize}
#frame{position:relative;flex:1 1 420px;max-width:900px}
.side{position:absolute;top:48%;font-weight:bold;text-shadow:0 0 3px #000}
aside{flex:0 1 330px}label{display:block;margin:.25rem 0}
.key{display:inline-block;width:.9em;height:.9em;margin:0 .4em;vertical-align:-1px}
input[type=range]{width:100%}table{border-collapse:collapse;margin-top:1rem}
td,th{border:1px solid #444;padding:.2rem .5rem;text-align:right}td:first-child{text-align:left}
h1{font-size:1rem;margin:.8rem .8rem 0}small{color:#999}
</style></head><body>
<h1>$title</h1>
<main><div id="frame"><canvas id="view" tabindex="0" aria-label="CT slice"></canvas>
<span class="side" style="left:6px">R</span><span class="side" style="right:6px">L</span>
<input id="slider" type="range" min="0" value="0" aria-label="slice"><div id="where"></div>
<small>Scroll, drag the slider or use the arrow keys. Space hides all overlays. Window -1350 to 150 HU.</small></div>
<aside><div id="layers"></div>
<label>opacity <input id="opacity" type="range" min="0" max="100" value="55"></label>
<label>brightness <input id="bright" type="range" min="50" max="200" value="100"></label>
$table
<p><small>For research; not a medical device.</small></p></aside></main>
<script>
"use strict";
const S=$settings, D=$slices;
const view=document.getElementById("view"), pen=view.getContext("2d");
const slider=document.getElementById("slider"), where=document.getElementById("where");
const opacity=document.getElementById("opacity"), bright=document.getElementById("bright");
view.width=S.width*2; view.height=Math.round(S.height*2*S.aspect);
slider.max=D.length-1; slider.value=S.start;
const on={}, cache=new Map(); let hidden=false;
function layer(key,name,colour,checked){
  const label=document.createElement("label"), box=document.createElement("input"), key_=document.createElement("span");
  box.type="checkbox"; box.checked=checked; on[key]=checked; key_.className="key";
  key_.style.background="rgb("+colour.join(",")+")";
  box.onchange=()=>{on[key]=box.checked; draw();};
  label.append(box,key_,name); document.getElementById("layers").append(label);
}
S.categories.forEach(([n,name,c])=>layer("c"+n,name,c,true));
layer("zone","border of the artefact zone",S.zone,true);
S.lobes.forEach(([n,name,c])=>layer("l"+n,name+" (outline)",c,true));
function picture(kind,data){return new Promise(done=>{const i=new Image();i.onload=()=>done(i);
  i.src="data:image/"+kind+";base64,"+data;});}
async function load(n){
  if(cache.has(n)) return cache.get(n);
  const [ct,code]=await Promise.all([picture("jpeg",D[n][0]),picture("png",D[n][1])]);
  const c=document.createElement("canvas"); c.width=S.width; c.height=S.height;
  const p=c.getContext("2d",{willReadFrequently:true}); p.drawImage(code,0,0);
  const rgba=p.getImageData(0,0,S.width,S.height).data, codes=new Uint8Array(S.width*S.height);
  for(let i=0;i<codes.length;i++) codes[i]=rgba[4*i];
  const found={ct,codes}; cache.set(n,found); if(cache.size>60) cache.delete(cache.keys().next().value); return found;
}
function overlay(codes){
  const w=S.width,h=S.height,out=new ImageData(w,h),px=out.data,a=Math.round(opacity.value*2.55);
  const cat={}; S.categories.forEach(([n,,c])=>cat[n]=c);
  const lobe={}; S.lobes.forEach(([n,,c])=>lobe[n]=c);
  const set=(i,c,alpha)=>{px[4*i]=c[0];px[4*i+1]=c[1];px[4*i+2]=c[2];px[4*i+3]=alpha;};
  for(let y=0;y<h;y++) for(let x=0;x<w;x++){
    const i=y*w+x, v=codes[i], k=v&7, l=(v>>3)&7, z=v>>6;
    if(k&&on["c"+k]) set(i,cat[k],a);
    const next=[x?i-1:i, x<w-1?i+1:i, y?i-w:i, y<h-1?i+w:i];
    if(on.zone&&z&&!k&&next.some(j=>!(codes[j]>>6))) set(i,S.zone,255);
    if(!l) for(const j of next){const m=(codes[j]>>3)&7; if(m&&on["l"+m]){set(i,lobe[m],255);break;}}
    else for(const j of next){const m=(codes[j]>>3)&7; if(m>l&&on["l"+m]){set(i,lobe[m],255);break;}}
  }
  return out;
}
async function draw(){
  const n=+slider.value, {ct,codes}=await load(n); if(n!==+slider.value) return;
  pen.filter="brightness("+bright.value+"%)"; pen.imageSmoothingEnabled=true;
  pen.drawImage(ct,0,0,view.width,view.height); pen.filter="none";
  if(!hidden){const c=document.createElement("canvas"); c.width=S.width; c.height=S.height;
    c.getContext("2d").putImageData(overlay(codes),0,0); pen.imageSmoothingEnabled=false;
    pen.drawImage(c,0,0,view.width,view.height);}
  const number=S.first+n+1;
  where.textContent="slice "+number+" of "+S.total+", "+((number-1)*S.millimetres).toFixed(0)+" mm from the top";
}
function move(by){slider.value=+slider.value+by; draw();}
view.addEventListener("wheel",e=>{e.preventDefault(); move(Math.sign(e.deltaY));},{passive:false});
document.addEventListener("keydown",e=>{
  if(e.target.type==="range") return;
  if(e.key==="ArrowDown"||e.key==="ArrowRight") move(1);
  else if(e.key==="ArrowUp"||e.key==="ArrowLeft") move(-1);
  else if(e.key===" "){hidden=!hidden; draw();} else return;
  e.preventDefault();
});
[slider,opacity,bright].forEach(e=>e.oninput=draw);
draw();
</script></body></html>
"""
