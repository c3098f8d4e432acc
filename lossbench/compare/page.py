"""The frame of `report.html`: layout for screens of any width, light and dark, and for print."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { --text: #1d2329; --soft: #5a6570; --back: #ffffff; --panel: #f2f5f8; --line: #d5dbe1;
  --mark: #2f6db5; --warn: #a33a1a; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e8ec; --soft: #a3adb7; --back: #15191d; --panel: #20262c; --line: #39424b;
    --mark: #7fb2ea; --warn: #ff9f7a; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; color: var(--text); background: var(--back);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-top: 1px solid var(--line); padding-top: 1rem; }
.setting, .caption, figcaption, footer { color: var(--soft); font-size: .86rem; }
.verdict { font-size: 1.08rem; background: var(--panel); border-left: 4px solid var(--mark);
  padding: .8rem 1rem; margin: 1rem 0; }
.warning { color: var(--warn); border-left: 4px solid var(--warn); padding: .2rem 1rem; }
nav { font-size: .86rem; display: flex; flex-wrap: wrap; gap: .2rem .9rem; }
a { color: var(--mark); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; }
figure { margin: 0; }
img { display: block; width: 100%; min-width: 34rem; height: auto; background: #ffffff; border-radius: 6px; }
pre { background: var(--panel); padding: .7rem; white-space: pre-wrap; word-break: break-word; font-size: .86rem; }
details { margin: .4rem 0; }
summary { cursor: pointer; }
@media print {
  :root { --text: #000000; --soft: #444444; --back: #ffffff; --panel: #ffffff; --line: #bbbbbb;
    --mark: #2f6db5; --warn: #a33a1a; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  .wide { overflow: visible; }
  img { min-width: 0; }
  table { font-size: 7pt; }
  th, td { padding: .15rem .3rem; white-space: normal; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}
</style>
</head>
<body>
<header>
<h1>$title</h1>
<p class="setting">$setting</p>
<p class="verdict">$verdict</p>
$warning
<nav>$links</nav>
</header>
<main>$sections</main>
<footer><p>$footer</p></footer>
</body>
</html>
"""
