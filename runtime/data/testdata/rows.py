"""The preference rows of the tests, all of our own making.

Each oddity that the reference's code treats in its own way is in here: a prompt
that comes again, dialogues that diverge before the last turn, an empty
rejected response, equal responses, characters of several bytes, texts longer
than any limit.
"""

H, A = "\n\nHuman:", "\n\nAssistant:"

SUBJECTS = [
    ("How do I keep basil alive indoors?", "Give it a sunny window and water when the top soil is dry.", "Basil is a plant."),
    ("Wie spät ist es in Tōkyō, wenn es hier Mittag ist?", "Sieben oder acht Stunden später, je nach Sommerzeit.", "Keine Ahnung."),
    ("Explain what a hash table is.", "An array whose slots are chosen by a function of the key. Collisions share a slot.", "It is a table."),
    ("Is it safe to eat snow?", "Clean, fresh snow in small amounts is fine; avoid yellow or grey snow.", "Yes eat all of it"),
    ("Write a haiku about rivers.", "Slow water at dusk\nfolds the last light into stones\nand carries it on", "Rivers are nice.\nRivers flow.\nThe end."),
    ("Which knots should a beginner learn?", "The bowline, the clove hitch and the figure eight.", "Learn all knots."),
    ("What does 'naïve Bayes' mean? 🙂", "A classifier that assumes features are independent given the class.", "Bayes was naïve 🙂🙂"),
    ("My bread never rises.", "Check that the yeast is alive: it should foam in warm water within ten minutes.", "Buy bread."),
    ("Name three moons of Jupiter.", "Io, Europa and Ganymede.", "Moon one, moon two, moon three."),
    ("How far is the horizon at sea?", "About five kilometres for eyes two metres above the water.", "Far."),
    ("Fix: for i in range(10) print(i)", "The colon is missing: for i in range(10): print(i)", "for i in range(10) print(i) works"),
    ("Why is the sky blue?", "Air scatters short wavelengths more than long ones.", "Because it is."),
]


def turn(prompt, response):
    return f"{H} {prompt}{A} {response}"


def hh():
    """Rows by folder and split."""
    single = [(turn(q, good), turn(q, bad)) for q, good, bad in SUBJECTS]
    q, good, bad = SUBJECTS[0]
    follow = turn(q, good) + f"{H} And in winter?{A}"
    long_prompt = "".join(turn(q, g) for q, g, _ in SUBJECTS)
    odd = [
        (turn(q, "Pinch the tips often."), turn(q, "No.")),  # a prompt again
        (follow + " Move it away from cold glass.", follow + " Winter is cold."),  # two turns
        # Diverged in the first answer: the rejected text does not continue the prompt.
        (follow + " Use a lamp for twelve hours.", turn(q, bad) + f"{H} Thanks for nothing, tell me more.{A} " + "More light. " * 4),
        (follow + " Less water.", turn(q, "No")),  # so short that nothing is left
        (turn(q, "Same."), turn(q, "Same.")),
        (long_prompt + f"{H} Sum this up.{A} " + "It was about many things. " * 30, long_prompt + f"{H} Sum this up.{A} No."),
        (long_prompt + f"{H} Which was best?{A} The haiku.", long_prompt + f"{H} Which was best?{A} " + "The bread, " * 60),
        (turn("Hi", "word " * 150), turn("Hi", "Hello!")),  # a short prompt, a long response
    ]
    return {
        ("helpful-base", "train"): single[6:] + odd[4:],
        ("harmless-base", "train"): single[:6] + odd[:4],
        ("helpful-base", "test"): [(turn("test " + q, g), turn("test " + q, b)) for q, g, b in SUBJECTS[:4]],
        ("harmless-base", "test"): [(turn("Test " + q, g), turn("Test " + q, b)) for q, g, b in SUBJECTS[4:7]] + odd[:1],
    }


def shp():
    rows = []
    for i, (q, good, bad) in enumerate(SUBJECTS):
        rows.append({"history": q, "human_ref_A": good, "human_ref_B": bad, "score_A": 10 + i, "score_B": 4 + i, "labels": 1})
        rows.append({"history": q, "human_ref_A": bad + "?", "human_ref_B": good + "!", "score_A": 2, "score_B": 7 * i + 3, "labels": 0})
    # The same response again, with a higher score that must not count.
    rows.append({"history": SUBJECTS[1][0], "human_ref_A": SUBJECTS[1][2] + "?", "human_ref_B": "x", "score_A": 99, "score_B": 1, "labels": 1})
    return rows


def se():
    """120 questions, so that a hundredth is one."""
    rows = []
    for i in range(120):
        q, good, bad = SUBJECTS[i % len(SUBJECTS)]
        answers = [
            {"text": f"<p>{good}</p>\n\n<pre><code>step({i}) &lt; {i + 1}\n</code></pre>", "pm_score": i % 5},
            {"text": f"<p>{bad} <a href=\"x>y\">link {i}</a> &amp; so on</p>", "pm_score": i % 3},
            {"text": f"<p>One more.</p><ul><li>gone</li></ul><code>tail{i}</code>", "pm_score": (i * 7) % 4},
        ][: 1 + i % 3]
        number = i if i != 60 else 24  # one question comes twice
        rows.append({"question": f"<p>Number {number}: {q}</p>", "answers": answers})
    return rows


HTML = [
    "",
    "no paragraph",
    "<p>one</p>",
    "<p>one</p>\n<p>two</p>\n",
    "<p>a <em>b</em> c</p>",
    "<p>a<br>b<br/>c</p>",
    "<p>x &lt; y &amp;&amp; z &#233; &quot;q&quot; &nbsp; end</p>",
    "<pre><code>if a &lt; b:\n    pass\n</code></pre>",
    "<pre>bare</pre><code>inline</code>",
    "<pre><code>one</code> and <code>two <b>bold</b></code></pre>",
    "<blockquote><p>inside</p></blockquote><p>outside</p>",
    "<ul><li>gone</li></ul><h1>gone</h1><p>kept</p>",
    "<p>never closed <p>nested",
    "<p>stray </b> end</p> tail",
    "<p>a <!-- note --> b</p>",
    "<pre><code>x<!-- note -->y</code></pre>",
    "<p> \n </p><p>  </p>",
    "<p><a href='q>r' title=\"s>t\">link</a> after</p>",
    "<p>3 < 4 and 5 > 4</p>",
    "<P CLASS=x>upper</P>",
    "<p>a<img src=\"x.png\" alt=\"> \">b</p>",
    "<pre> <code>\n\n</code> </pre><code> </code>",
    "<p>ünïcode 🙂 &hellip; &eacute;</p>",
    "<div><p>deep</p><pre><code>deep code</code></pre></div>",
    "<p>one<hr>two</p><p>three</p>",
]
