#!/usr/bin/env python3
"""Texts read in the wrong encoding, what they were, and what ftfy makes of them: tests/golden/clean_ftfy.json. Needs ftfy (pip install ftfy==6.3.1).
python3 tests/oracles/clean_ftfy.py"""
import json
import pathlib

import ftfy
import ftfy.bad_codecs  # sloppy-windows-1252

SENTENCES = [
    "The café’s menu — “très chic” — costs €5…", "Größe, Übermut und Straße: schöne Grüße aus Köln.", "L’été à Noël, où l’œuvre naît: ça suffit déjà!",
    "El niño comió piña; ¿dónde está mañana? ¡Olé!", "A ação não é só coração; três avós vêm amanhã.", "Perché è così, città più bella?",
    "Příliš žluťoučký kůň úpěl ďábelské ódy.", "Zażółć gęślą jaźń.", "Árvíztűrő tükörfúrógép.", "Țara românească și țărănimea.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.", "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.", "דג סקרן שט בים מאוכזב ולפתע מצא חברה.",
    "نص حكيم له سر قاطع وذو شأن عظيم.", "我能吞下玻璃而不伤身体。", "いろはにほへと ちりぬるを。", "키스의 고유조건은 입술끼리 만나야 하고.", "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "मैं काँच खा सकता हूँ।", "Tôi có thể ăn thủy tinh mà không hại gì.", "Thanks 😀👍🏽 and ❤️ — 50 °C, ±3 µm, ½ cup", "It’s 20 °C outside; “really”?", "naïve façade", "© 2020 Foo™ ®",
    "Þetta er íslenska: æ, ö, ð.", "Smørrebrød på Ærø, å nei!", "İstanbul'da güneşli ığdır.", "price: £20 · ¥300 · §4",
]
# What looks suspicious and is right.
RIGHT = [
    "PÂTÉ DE CAMPAGNE À LA CRÈME", "MAÇÃ, PÃO E LIMÃO: NÃO!", "À «l’heure» où", "É «isso» aí", "SÃO PAULO — ÂNGELO", "Ärger, Öl und Übel", "ÃO", "«Olé»…", "café»…",
    "THE CAFÉ’S MENU", "Å¼", "a â b", "x × y ÷ z", "¿QUÉ? ¡SÍ!", "“CITÉ”", "NOËL”", "JOSÉ®", "RÉSUMÉ…", "CANAPÉ – fin", "10 µm ± 2 °C", "Voilà…", "VOILÀ…", "señor José’s café",
    "El «NIÑO»", "1 ª 2 º", "ESPAÑA®", "Mâcon »", "ÎLE-DE-FRANCE", "Ãœ", "¼ + ½ = ¾",
]
CONFIG = ftfy.TextFixerConfig(uncurl_quotes=False, fix_latin_ligatures=False, fix_character_width=False, unescape_html=False)


def spoil(text, codec):
    try:
        return text.encode("utf-8").decode(codec)
    except UnicodeDecodeError:
        return None


def main():
    rows = []
    for text in SENTENCES:
        text = ftfy.fix_text(text, CONFIG)
        rows.append((text, text))
        for codec in ("sloppy-windows-1252", "latin-1"):
            once = spoil(text, codec)
            if not once or once == text:
                continue
            rows.append((once, text))
            rows.append((spoil(once, codec), text))
            rows.append(("First line.\n" + once + "\nLast line, also " + text, "First line.\n" + text + "\nLast line, also " + text))
    rows += [(t, t) for t in RIGHT]
    done = [{"in": given, "was": was, "ftfy": ftfy.fix_text(given, CONFIG)} for given, was in rows]
    path = pathlib.Path(__file__).resolve().parents[1] / "golden/clean_ftfy.json"
    path.write_text(json.dumps({"ftfy": ftfy.__version__, "rows": done}, ensure_ascii=False, indent=0) + "\n")
    print(len(done), "rows; ftfy has", sum(r["ftfy"] == r["was"] for r in done))


main()
