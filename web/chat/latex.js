// TeX math as models write it, to MathML as plain objects {n: name, a: attributes, c: children}, with strings as text. No DOM in here.
// What it does not know (and \href, \def, \html.. on purpose) is an error: the caller shows the source. Size and depth have limits.

const kMaxSource = 10000;
const kMaxNodes = 6000;
const kMaxDepth = 40;

function table(text) {
  const out = new Map();
  for (const pair of text.trim().split(/\s+/)) {
    const at = pair.lastIndexOf(":");
    out.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return out;
}

const kLetters = table(`alpha:α beta:β gamma:γ delta:δ epsilon:ϵ varepsilon:ε zeta:ζ eta:η theta:θ vartheta:ϑ iota:ι kappa:κ varkappa:ϰ lambda:λ mu:μ nu:ν
  xi:ξ omicron:ο pi:π varpi:ϖ rho:ρ varrho:ϱ sigma:σ varsigma:ς tau:τ upsilon:υ phi:ϕ varphi:φ chi:χ psi:ψ omega:ω
  Gamma:Γ Delta:Δ Theta:Θ Lambda:Λ Xi:Ξ Pi:Π Sigma:Σ Upsilon:Υ Phi:Φ Psi:Ψ Omega:Ω
  infty:∞ partial:∂ nabla:∇ hbar:ℏ ell:ℓ Re:ℜ Im:ℑ aleph:ℵ beth:ℶ emptyset:∅ varnothing:∅ wp:℘ imath:ı jmath:ȷ top:⊤ bot:⊥ angle:∠ triangle:△ square:□
  Box:□ blacksquare:■ diamond:⋄ Diamond:◇ star:⋆ prime:′ degree:° forall:∀ exists:∃ nexists:∄ dots:… ldots:… dotsc:… hdots:… cdots:⋯ dotsb:⋯ dotsm:⋯ vdots:⋮ ddots:⋱
  checkmark:✓ dagger:† ddagger:‡ S:§ P:¶ copyright:© pounds:£ yen:¥ euro:€ clubsuit:♣ diamondsuit:♢ heartsuit:♡ spadesuit:♠ sharp:♯ flat:♭ natural:♮ mho:℧ eth:ð backslash:\\`);

const kOperators = table(`cdot:⋅ times:× div:÷ pm:± mp:∓ ast:∗ circ:∘ bullet:∙ oplus:⊕ ominus:⊖ otimes:⊗ oslash:⊘ odot:⊙ wedge:∧ land:∧ vee:∨ lor:∨ neg:¬ lnot:¬
  cap:∩ cup:∪ sqcap:⊓ sqcup:⊔ setminus:∖ smallsetminus:∖ uplus:⊎ amalg:⨿ wr:≀
  le:≤ leq:≤ leqslant:⩽ ge:≥ geq:≥ geqslant:⩾ ne:≠ neq:≠ lt:< gt:> ll:≪ gg:≫ approx:≈ equiv:≡ sim:∼ simeq:≃ cong:≅ propto:∝ varpropto:∝ doteq:≐ asymp:≍ triangleq:≜
  coloneqq:≔ prec:≺ succ:≻ preceq:⪯ succeq:⪰ lesssim:≲ gtrsim:≳ in:∈ notin:∉ ni:∋ subset:⊂ supset:⊃ subseteq:⊆ supseteq:⊇ subsetneq:⊊ supsetneq:⊋ nsubseteq:⊈ sqsubseteq:⊑
  sqsupseteq:⊒ mid:∣ nmid:∤ parallel:∥ nparallel:∦ perp:⟂ models:⊨ vdash:⊢ dashv:⊣ vDash:⊨ therefore:∴ because:∵ colon::
  to:→ rightarrow:→ leftarrow:← gets:← leftrightarrow:↔ Rightarrow:⇒ implies:⟹ Leftarrow:⇐ impliedby:⟸ Leftrightarrow:⇔ iff:⟺ mapsto:↦ longmapsto:⟼ longrightarrow:⟶
  longleftarrow:⟵ Longrightarrow:⟹ Longleftarrow:⟸ Longleftrightarrow:⟺ longleftrightarrow:⟷ uparrow:↑ downarrow:↓ updownarrow:↕ Uparrow:⇑ Downarrow:⇓ nearrow:↗ searrow:↘
  swarrow:↙ nwarrow:↖ hookrightarrow:↪ hookleftarrow:↩ rightharpoonup:⇀ leftharpoonup:↼ rightleftharpoons:⇌ leadsto:⇝ rightsquigarrow:⇝ not:̸ vartriangle:△ lhd:⊲ rhd:⊳
  ltimes:⋉ rtimes:⋊ bowtie:⋈ nleq:≰ ngeq:≱ nless:≮ ngtr:≯ upharpoonright:↾ restriction:↾`);

const kBig = table("sum:∑ prod:∏ coprod:∐ bigcup:⋃ bigcap:⋂ bigoplus:⨁ bigotimes:⨂ bigodot:⨀ bigvee:⋁ bigwedge:⋀ biguplus:⨄ bigsqcup:⨆");
const kIntegrals = table("int:∫ iint:∬ iiint:∭ oint:∮ oiint:∯ smallint:∫");
const kFunctions = new Set(`sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth log ln lg exp arg deg dim hom ker`.split(" "));
const kLimitFunctions = new Map([["lim", "lim"], ["max", "max"], ["min", "min"], ["sup", "sup"], ["inf", "inf"], ["limsup", "lim sup"], ["liminf", "lim inf"],
  ["det", "det"], ["gcd", "gcd"], ["lcm", "lcm"], ["Pr", "Pr"], ["argmax", "arg max"], ["argmin", "arg min"]]);
const kDelimiters = table(`lbrace:{ rbrace:} lbrack:[ rbrack:] langle:⟨ rangle:⟩ lvert:| rvert:| vert:| lVert:‖ rVert:‖ Vert:‖ lfloor:⌊ rfloor:⌋ lceil:⌈ rceil:⌉
  lgroup:⟮ rgroup:⟯ ulcorner:⌜ urcorner:⌝ llcorner:⌞ lrcorner:⌟ uparrow:↑ downarrow:↓ updownarrow:↕ Uparrow:⇑ Downarrow:⇓ backslash:\\`);
const kAccents = table("hat:^ widehat:^ bar:¯ overline:‾ vec:→ overrightarrow:→ overleftarrow:← dot:˙ ddot:¨ dddot:⃛ tilde:~ widetilde:~ check:ˇ breve:˘ acute:´ grave:` mathring:˚");
const kStretchy = new Set(["widehat", "overline", "overrightarrow", "overleftarrow", "widetilde", "vec"]);
const kSpaces = new Map([[",", 0.167], [":", 0.222], [">", 0.222], [";", 0.278], ["!", -0.167], [" ", 0.25], ["quad", 1], ["qquad", 2], ["enspace", 0.5], ["thinspace", 0.167],
  ["medspace", 0.222], ["thickspace", 0.278], ["negthinspace", -0.167], ["enskip", 0.5]]);
const kIgnored = new Set(["displaystyle", "textstyle", "scriptstyle", "scriptscriptstyle", "nonumber", "notag", "hline", "centering", "mathstrut", "strut", "limits", "nolimits",
  "allowbreak", "nobreak", "relax", "small", "large", "normalsize", "rm", "it", "bf"]);
const kBigDelimiters = new Map([["big", 1.2], ["bigl", 1.2], ["bigr", 1.2], ["bigm", 1.2], ["Big", 1.8], ["Bigl", 1.8], ["Bigr", 1.8], ["Bigm", 1.8], ["bigg", 2.4], ["biggl", 2.4],
  ["biggr", 2.4], ["biggm", 2.4], ["Bigg", 3], ["Biggl", 3], ["Biggr", 3], ["Biggm", 3]]);
const kArrows = table("xrightarrow:→ xleftarrow:← xleftrightarrow:↔ xRightarrow:⇒ xLeftarrow:⇐ xmapsto:↦ xrightleftharpoons:⇌");
const kMatrixFences = {matrix: "", smallmatrix: "", pmatrix: "()", bmatrix: "[]", Bmatrix: "{}", vmatrix: "||", Vmatrix: "‖‖"};
const kAligned = new Set(["align", "aligned", "alignat", "alignedat", "split", "eqnarray", "gather", "gathered", "equation", "multline", "flalign"]);

// Mathematical alphabets: where A, a and 0 begin, and letters that Unicode has elsewhere.
const kAlphabets = {
  mathbb: {A: 0x1d538, a: 0x1d552, 0: 0x1d7d8, C: "ℂ", H: "ℍ", N: "ℕ", P: "ℙ", Q: "ℚ", R: "ℝ", Z: "ℤ"},
  mathbf: {A: 0x1d400, a: 0x1d41a, 0: 0x1d7ce},
  mathcal: {A: 0x1d49c, a: 0x1d4b6, B: "ℬ", E: "ℰ", F: "ℱ", H: "ℋ", I: "ℐ", L: "ℒ", M: "ℳ", R: "ℛ", e: "ℯ", g: "ℊ", o: "ℴ"},
  mathfrak: {A: 0x1d504, a: 0x1d51e, C: "ℭ", H: "ℌ", I: "ℑ", R: "ℜ", Z: "ℨ"},
  mathsf: {A: 0x1d5a0, a: 0x1d5ba, 0: 0x1d7e2},
  mathtt: {A: 0x1d670, a: 0x1d68a, 0: 0x1d7f6},
  boldsymbol: {A: 0x1d468, a: 0x1d482, 0: 0x1d7ce, greek: 0x1d736, Greek: 0x1d71c},
};
const kAlphabetNames = {mathbb: "mathbb", Bbb: "mathbb", mathbf: "mathbf", bold: "mathbf", mathcal: "mathcal", mathscr: "mathcal", cal: "mathcal", mathfrak: "mathfrak",
  mathsf: "mathsf", mathtt: "mathtt", boldsymbol: "boldsymbol", bm: "boldsymbol", pmb: "boldsymbol"};

function inAlphabet(text, alphabet) {
  const map = kAlphabets[alphabet];
  let out = "";
  for (const c of text) {
    const code = c.codePointAt(0);
    if (typeof map[c] === "string") out += map[c];
    else if (c >= "A" && c <= "Z") out += String.fromCodePoint(map.A + code - 65);
    else if (c >= "a" && c <= "z") out += String.fromCodePoint(map.a + code - 97);
    else if (c >= "0" && c <= "9" && map[0]) out += String.fromCodePoint(map[0] + code - 48);
    else if (map.greek && code >= 0x3b1 && code <= 0x3c9) out += String.fromCodePoint(map.greek + code - 0x3b1);
    else if (map.Greek && code >= 0x391 && code <= 0x3a9) out += String.fromCodePoint(map.Greek + code - 0x391);
    else out += c;
  }
  return out;
}

class LatexError extends Error {}

class Parser {
  constructor(source) {
    if (source.length > kMaxSource) throw new LatexError("too long");
    this.s = source;
    this.i = 0;
    this.nodes = 0;
    this.depth = 0;
  }

  fail(what) {
    throw new LatexError(`${what} at ${this.i}`);
  }

  make(n, c = [], a = {}) {
    if (++this.nodes > kMaxNodes) this.fail("too large");
    return {n, a, c};
  }

  // One child stands for itself.
  row(nodes) {
    return nodes.length === 1 ? nodes[0] : this.make("mrow", nodes);
  }

  mo(text, a = {}) {
    return this.make("mo", [text], a);
  }

  deeper(work) {
    if (++this.depth > kMaxDepth) this.fail("nested too deep");
    const out = work();
    --this.depth;
    return out;
  }

  blanks() {
    while (this.i < this.s.length && /\s/.test(this.s[this.i])) ++this.i;
  }

  // The command's name at the cursor, which stands on a backslash: letters, or one character.
  peekCommand() {
    const match = /\\([A-Za-z]+|[^])/y;
    match.lastIndex = this.i;
    const found = match.exec(this.s);
    return found ? found[1] : null;
  }

  // Nodes up to what `stop` says (which stays), or the end.
  list(stop) {
    let out = [];
    for (;;) {
      this.blanks();
      if (this.i >= this.s.length || stop()) return out;
      if (this.s[this.i] === "\\") {
        const name = this.peekCommand();
        if (name === "over" || name === "choose" || name === "atop") {
          this.i += name.length + 1;
          const below = this.row(this.list(stop));
          const fraction = this.make("mfrac", [this.row(out), below], name === "over" ? {} : {linethickness: "0"});
          return name === "choose" ? [this.mo("("), fraction, this.mo(")")] : [fraction];
        }
      }
      const node = this.scripted();
      if (node) out.push(node);
    }
  }

  // An atom with what hangs on it.
  scripted() {
    let base = this.atom();
    let below = null, above = null, primes = "", limits = base && base.limits;
    for (;;) {
      this.blanks();
      const c = this.s[this.i];
      if (c === "'" || c === "’") {
        primes += "′";
        ++this.i;
      } else if (c === "^" || c === "_") {
        if ((c === "^" ? above : below) !== null) this.fail("two scripts of a kind");
        ++this.i;
        const script = this.argument();
        if (c === "^") above = script;
        else below = script;
      } else if (c === "\\" && (this.peekCommand() === "limits" || this.peekCommand() === "nolimits")) {
        limits = this.peekCommand() === "limits";
        this.i += limits ? 7 : 9;
      } else {
        break;
      }
    }
    if (primes) above = above ? this.make("mrow", [this.mo(primes), above]) : this.mo(primes);
    if (!above && !below) return base;
    base = base || this.make("mrow");
    if (limits) {
      if (above && below) return this.make("munderover", [base, below, above]);
      return above ? this.make("mover", [base, above]) : this.make("munder", [base, below]);
    }
    if (above && below) return this.make("msubsup", [base, below, above]);
    return above ? this.make("msup", [base, above]) : this.make("msub", [base, below]);
  }

  // {group} or one atom.
  argument() {
    this.blanks();
    if (this.i >= this.s.length) this.fail("something is missing");
    if (this.s[this.i] === "{") return this.group();
    if (/[}&^_]/.test(this.s[this.i])) this.fail("something is missing");
    if (/[0-9]/.test(this.s[this.i])) return this.make("mn", [this.s[this.i++]]);
    return this.deeper(() => this.atom() || this.make("mrow"));
  }

  group() {
    return this.deeper(() => {
      ++this.i;
      const nodes = this.list(() => this.s[this.i] === "}");
      if (this.s[this.i] !== "}") this.fail("a brace is not closed");
      ++this.i;
      return this.row(nodes);
    });
  }

  // {text} as it stands, with its braces balanced.
  raw() {
    this.blanks();
    if (this.s[this.i] !== "{") {
      if (this.i >= this.s.length) this.fail("something is missing");
      return this.s[this.i++];
    }
    let open = 0;
    for (let at = this.i; at < this.s.length; ++at) {
      if (this.s[at] === "\\") ++at;
      else if (this.s[at] === "{") ++open;
      else if (this.s[at] === "}" && --open === 0) {
        const text = this.s.slice(this.i + 1, at);
        this.i = at + 1;
        return text;
      }
    }
    this.fail("a brace is not closed");
  }

  optional() {
    this.blanks();
    if (this.s[this.i] !== "[") return null;
    ++this.i;
    const nodes = this.deeper(() => this.list(() => this.s[this.i] === "]"));
    if (this.s[this.i] !== "]") this.fail("a bracket is not closed");
    ++this.i;
    return this.row(nodes);
  }

  atom() {
    const c = this.s[this.i];
    if (c === "{") return this.group();
    if (c === "}" || c === "&" || c === "#") this.fail(`'${c}' has no place`);
    if (c === "\\") return this.command();
    if (c === "^" || c === "_" || c === "'") return null;  // a script of nothing
    const number = /\d+(?:\.\d+)?|\.\d+/y;
    number.lastIndex = this.i;
    const digits = number.exec(this.s);
    if (digits) {
      this.i += digits[0].length;
      return this.make("mn", [digits[0]]);
    }
    const code = this.s.codePointAt(this.i);
    const character = String.fromCodePoint(code);
    this.i += character.length;
    if (c === "~") return this.make("mspace", [], {width: "0.333em"});
    if (c === "-") return this.mo("−");
    if (c === "*") return this.mo("∗");
    if (c === "$") this.fail("a dollar in math");
    if (/[\p{L}\p{M}]/u.test(character)) return this.make("mi", [character]);
    if (/[()[\]|‖/]/.test(c)) return this.mo(c, {stretchy: "false"});
    if (/[\p{N}]/u.test(character)) return this.make("mn", [character]);
    return this.mo(character);
  }

  delimiter() {
    this.blanks();
    const c = this.s[this.i];
    if (c === undefined) this.fail("a delimiter is missing");
    if (c !== "\\") {
      if (!/[()[\]|/.<>]/.test(c)) this.fail(`'${c}' is no delimiter`);
      ++this.i;
      return c === "." ? "" : c === "<" ? "⟨" : c === ">" ? "⟩" : c;
    }
    const name = this.peekCommand();
    this.i += name.length + 1;
    if (name === "{" || name === "}") return name;
    if (name === "|") return "‖";
    if (!kDelimiters.has(name)) this.fail(`\\${name} is no delimiter`);
    return kDelimiters.get(name);
  }

  fenced() {
    return this.deeper(() => {
      const nodes = [];
      const fence = (text, form) => text && nodes.push(this.mo(text, {fence: "true", stretchy: "true", form}));
      fence(this.delimiter(), "prefix");
      for (;;) {
        const inner = this.list(() => this.s[this.i] === "\\" && ["right", "middle"].includes(this.peekCommand()));
        nodes.push(this.row(inner));
        if (this.i >= this.s.length) this.fail("\\left without \\right");
        const name = this.peekCommand();
        this.i += name.length + 1;
        fence(this.delimiter(), name === "right" ? "postfix" : "infix");
        if (name === "right") return this.make("mrow", nodes);
      }
    });
  }

  text(a = {}) {
    const text = this.raw().replace(/\\([#$%&_{} ])/g, "$1").replace(/\\(?:text(?:bf|it|rm)?|mathrm)\{([^{}]*)\}/g, "$1").replace(/\$/g, "").replace(/~/g, " ");
    return this.make("mtext", [text.replace(/^\s|\s$/g, "\u00a0")], a);
  }

  // Changes the text of letters and digits in a tree.
  restyle(node, change) {
    if (typeof node === "string") return;
    if (node.n === "mi" || node.n === "mn") {
      change(node);
      return;
    }
    for (const child of node.c) this.restyle(child, change);
  }

  command() {
    const name = this.peekCommand();
    if (name === null) this.fail("a backslash at the end");
    this.i += name.length + 1;
    if (kLetters.has(name)) {
      const upright = /^[A-Z]/.test(name) && name.length > 2 || !/\p{L}/u.test(kLetters.get(name));
      return this.make("mi", [kLetters.get(name)], upright ? {mathvariant: "normal"} : {});
    }
    if (name === "not") return this.negated();
    if (kOperators.has(name)) return this.mo(kOperators.get(name));
    if (kBig.has(name)) return Object.assign(this.mo(kBig.get(name), {movablelimits: "true", largeop: "true"}), {limits: true});
    if (kIntegrals.has(name)) return this.mo(kIntegrals.get(name), {largeop: "true"});
    if (kFunctions.has(name)) return this.make("mi", [name], {mathvariant: "normal"});
    if (kLimitFunctions.has(name)) return Object.assign(this.mo(kLimitFunctions.get(name), {movablelimits: "true", form: "prefix"}), {limits: true});
    if (kSpaces.has(name)) return this.make("mspace", [], {width: `${kSpaces.get(name)}em`});
    if (kBigDelimiters.has(name)) {
      const size = `${kBigDelimiters.get(name)}em`;
      return this.mo(this.delimiter(), {stretchy: "true", minsize: size, maxsize: size, fence: "true"});
    }
    if (kIgnored.has(name)) return null;
    if (kDelimiters.has(name)) return this.mo(kDelimiters.get(name), {stretchy: "false"});
    if (kAccents.has(name)) {
      const base = this.argument();
      return this.make("mover", [base, this.mo(kAccents.get(name), {stretchy: String(kStretchy.has(name))})], {accent: "true"});
    }
    if (Object.hasOwn(kAlphabetNames, name)) {
      const node = this.argument();
      this.restyle(node, (letter) => {
        const text = inAlphabet(letter.c[0], kAlphabetNames[name]);
        if (text !== letter.c[0] && letter.n === "mi") letter.a = {...letter.a, mathvariant: "normal"};
        letter.c = [text];
      });
      return node;
    }
    if (kArrows.has(name)) {
      const below = this.optional();
      const above = this.argument();
      const arrow = this.mo(kArrows.get(name), {stretchy: "true"});
      return below ? this.make("munderover", [arrow, below, above]) : this.make("mover", [arrow, above]);
    }
    const known = this.special(name);
    if (known === undefined) this.fail(`\\${name} is not known`);
    return known;
  }

  negated() {
    this.blanks();
    const next = this.atom();
    if (!next || typeof next.c[0] !== "string") this.fail("\\not of nothing");
    next.c = [(next.c[0] + "\u0338").normalize("NFC")];
    return next;
  }

  special(name) {
    switch (name) {
      case "frac": case "dfrac": case "tfrac": case "cfrac": {
        const parts = [this.argument(), this.argument()];
        const a = name === "dfrac" || name === "cfrac" ? {displaystyle: "true"} : name === "tfrac" ? {displaystyle: "false"} : {};
        const fraction = this.make("mfrac", parts);
        return name === "frac" ? fraction : this.make("mstyle", [fraction], a);
      }
      case "binom": case "dbinom": case "tbinom":
        return this.make("mrow", [this.mo("("), this.make("mfrac", [this.argument(), this.argument()], {linethickness: "0"}), this.mo(")")]);
      case "sqrt": {
        const index = this.optional();
        const base = this.argument();
        return index ? this.make("mroot", [base, index]) : this.make("msqrt", [base]);
      }
      case "left": return this.fenced();
      case "right": case "middle": return this.fail(`\\${name} without \\left`);
      case "text": case "textrm": case "textnormal": case "mbox": case "hbox": case "textup": return this.text();
      case "textbf": return this.text({class: "bold"});
      case "textit": case "emph": return this.text({class: "italic"});
      case "texttt": case "textsf": return this.text({class: "mono"});
      case "mathrm": case "mathnormal": case "mathit": case "operatorname": return this.word(name);
      case "boxed": case "fbox": return this.make("mrow", [this.argument()], {class: "boxed"});
      case "cancel": case "bcancel": case "xcancel": return this.make("mrow", [this.argument()], {class: "cancel"});
      case "underline": return this.make("munder", [this.argument(), this.mo("_", {stretchy: "true"})], {accentunder: "true"});
      case "overbrace": return Object.assign(this.make("mover", [this.argument(), this.mo("⏞", {stretchy: "true"})]), {limits: true});
      case "underbrace": return Object.assign(this.make("munder", [this.argument(), this.mo("⏟", {stretchy: "true"})]), {limits: true});
      case "overset": case "stackrel": {
        const above = this.argument();
        return this.make("mover", [this.argument(), above]);
      }
      case "underset": {
        const below = this.argument();
        return this.make("munder", [this.argument(), below]);
      }
      case "pmod": return this.make("mrow", [this.make("mspace", [], {width: "0.5em"}), this.mo("(", {stretchy: "false"}), this.make("mi", ["mod"], {mathvariant: "normal"}),
        this.make("mspace", [], {width: "0.3em"}), this.argument(), this.mo(")", {stretchy: "false"})]);
      case "bmod": case "mod": return this.mo("mod", {lspace: "0.3em", rspace: "0.3em"});
      case "substack": return this.substack();
      case "phantom": case "hphantom": case "vphantom": return this.make("mphantom", [this.argument()]);
      case "smash": case "mathop": case "mathbin": case "mathrel": case "mathord": case "mathopen": case "mathclose": case "mathpunct": case "mathinner": case "ensuremath":
      case "displaylines": return this.argument();
      case "color": this.raw(); return null;
      case "textcolor": case "colorbox": this.raw(); return this.argument();
      case "hspace": case "vspace": case "label": case "kern": this.raw(); return null;
      case "tag": return this.make("mtext", [`\u2003(${this.raw()})`]);
      case "begin": return this.environment();
      case "%": case "$": case "&": case "_": case "#": return this.mo(name);
      case "{": case "}": return this.mo(name, {stretchy: "false"});
      case "|": return this.mo("‖", {stretchy: "false"});
      case "\\": case "newline": case "cr": return this.make("mspace", [], {linebreak: "newline"});
      case "-": case "/": case "@": return null;
      default: return undefined;
    }
  }

  // \mathrm{const}, \operatorname*{arg\,max}.
  word(name) {
    const limits = name === "operatorname" && this.s[this.i] === "*";
    if (limits) ++this.i;
    this.blanks();
    const start = this.i;
    const text = this.raw().replace(/\\[,;: ]/g, "\u2009").replace(/[{}]/g, "");
    if (/^[\p{L}\p{N}\u2009 .,'-]*$/u.test(text)) {
      const node = this.make(limits ? "mo" : "mi", [text], limits ? {movablelimits: "true", form: "prefix"} : {mathvariant: "normal"});
      if (name === "mathit") node.a = {};
      return limits ? Object.assign(node, {limits}) : node;
    }
    this.i = start;
    const node = this.argument();
    if (name !== "mathit" && name !== "mathnormal") this.restyle(node, (letter) => { letter.a = {...letter.a, mathvariant: "normal"}; });
    return node;
  }

  substack() {
    this.blanks();
    if (this.s[this.i] !== "{") this.fail("\\substack without {");
    return this.deeper(() => {
      ++this.i;
      const rows = this.rows(() => this.s[this.i] === "}");
      if (this.s[this.i] !== "}") this.fail("a brace is not closed");
      ++this.i;
      return this.tableOf(rows, () => "center", "substack");
    });
  }

  // Rows of cells, up to what `stop` says.
  rows(stop) {
    const rows = [[]];
    const cellEnd = () => stop() || this.s[this.i] === "&" || (this.s[this.i] === "\\" && (this.peekCommand() === "\\" || this.peekCommand() === "cr"));
    for (;;) {
      rows[rows.length - 1].push(this.row(this.list(cellEnd)));
      this.blanks();
      if (this.i >= this.s.length || stop()) break;
      if (this.s[this.i] === "&") {
        ++this.i;
        continue;
      }
      this.i += this.peekCommand().length + 1;
      const skip = /\s*\*?\s*\[[-\d.a-z ]*\]/y;  // \\[4pt]
      skip.lastIndex = this.i;
      const found = skip.exec(this.s);
      if (found) this.i += found[0].length;
      rows.push([]);
    }
    const last = rows[rows.length - 1];
    if (rows.length > 1 && last.length === 1 && last[0].n === "mrow" && !last[0].c.length) rows.pop();
    return rows;
  }

  tableOf(rows, align, kind) {
    return this.make("mtable", rows.map((cells) => this.make("mtr", cells.map((cell, k) => this.make("mtd", [cell], {class: align(k)})))), {class: kind});
  }

  environment() {
    const full = this.raw();
    const name = full.replace(/\*$/, "");
    const end = `\\end{${full}}`;
    return this.deeper(() => {
      let columns = "";
      if (name === "array" || name === "alignat" || name === "alignedat") {
        this.optional();
        columns = this.raw();
      } else if (Object.hasOwn(kMatrixFences, name) || name === "aligned" || name === "gathered") {
        const option = /\s*\[[a-z]\]/y;
        option.lastIndex = this.i;
        const found = option.exec(this.s);
        if (found) this.i += found[0].length;
      }
      const rows = this.rows(() => this.s[this.i] === "\\" && this.s.startsWith("\\end", this.i));
      if (!this.s.startsWith(end, this.i)) this.fail(`\\begin{${full}} is not ended`);
      this.i += end.length;
      if (Object.hasOwn(kMatrixFences, name)) {
        const fences = kMatrixFences[name];
        const body = this.tableOf(rows, () => "center", name === "smallmatrix" ? "substack" : "matrix");
        if (!fences) return body;
        const fence = (text, form) => this.mo(text, {fence: "true", stretchy: "true", form});
        return this.make("mrow", [fence(fences[0], "prefix"), body, fence(fences[1], "postfix")]);
      }
      if (name === "cases" || name === "dcases" || name === "rcases") {
        const brace = this.mo(name === "rcases" ? "}" : "{", {fence: "true", stretchy: "true", form: name === "rcases" ? "postfix" : "prefix"});
        const body = this.tableOf(rows, () => "left", "cases");
        return this.make("mrow", name === "rcases" ? [body, brace] : [brace, body]);
      }
      if (name === "array") {
        const letters = columns.replace(/[^lcr]/g, "");
        return this.tableOf(rows, (k) => ({l: "left", r: "right"})[letters[k]] || "center", "matrix");
      }
      if (kAligned.has(name)) {
        const centered = name.startsWith("gather") || name.startsWith("multline") || (name === "equation" && rows.every((cells) => cells.length === 1));
        return this.make("mstyle", [this.tableOf(rows, (k) => (centered ? "center" : k % 2 ? "left" : "right"), "aligned")], {displaystyle: "true"});
      }
      return this.fail(`\\begin{${full}} is not known`);
    });
  }
}

// Throws LatexError for what it can't read.
export function latexToMathml(source, display) {
  const parser = new Parser(source.trim());
  const rows = parser.rows(() => false);
  let body;
  if (rows.length === 1 && rows[0].length === 1) body = rows[0][0];
  else body = parser.tableOf(rows, (k) => (rows.some((cells) => cells.length > 1) ? (k % 2 ? "left" : "right") : "center"), "aligned");
  return {n: "math", a: display ? {display: "block"} : {}, c: [body]};
}
