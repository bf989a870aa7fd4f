"""The main() of exported C files: samples as CSV from a file or the standard input, outputs as CSV."""

from __future__ import annotations

from typing import Any

from pynn.export.trace import Trace

__all__ = ["main_source"]

_READER = """
/* Reads one field into text; returns what follows it: ',' for another field, '\\n' or EOF, or 0 if it is too long. */
static int read_field(FILE *file, char *text, size_t room)
{
    size_t n = 0;
    for (;;) {
        const int c = getc(file);
        if (c == ',' || c == ';' || c == '\\t' || c == '\\n' || c == EOF) {
            text[n] = 0;
            return c == ';' || c == '\\t' ? ',' : c;
        }
        if (c == ' ' || c == '\\r' || c == '"')
            continue;
        if (n + 1 == room)
            return 0;
        text[n++] = (char)c;
    }
}
"""


def main_source(sizes: Any, plan: Trace, ctype: str) -> str:
    """Return main() and what it needs.

    Parameters
    ----------
    sizes : the names of sizes and arguments, see :mod:`pynn.export.c`
    plan : Trace
    ctype : "float" or "double"
    """
    total = " + ".join(sizes.inputs)
    buffers: list[str] = []
    stores: list[str] = []
    start = ""
    for name, size, x in zip(sizes.arguments, sizes.inputs, plan.inputs, strict=True):
        kind = "int32_t" if x.dtype.kind in "iu" else ctype
        buffers.append(f"static {kind} {name}[{size}];")
        stores += [f"for (int i = 0; i < {size}; ++i) {{", f"    const double value = fields[{start}i];"]
        if kind == "int32_t":
            stores += ["    bad = bad || !(value >= -2147483648.0 && value <= 2147483647.0);"]
            stores += ["    bad = bad || value != (double)(int32_t)value;", "    if (bad)", "        break;"]
        stores += [f"    {name}[i] = ({kind})value;", "}"]
        start += f"{size} + "
    inside = "\n".join(f"        {line}" for line in stores)
    digits = 9 if ctype == "float" else 17
    arguments = ", ".join(sizes.arguments)
    what, resets, state, argument, begin = "samples", "", "", "", ""
    if sizes.states:
        what, resets = "time steps", " An empty line begins another sequence."
        state, argument = f"state[{sizes.state}], ", "state, "
        begin = "\n            memset(state, 0, sizeof state);"
    return (
        _READER.strip("\n")
        + f"""

/* Reads {what} from the file that is named, or from the standard input, one a line of {total} numbers; the
   first line may hold names.{resets} */
int main(int argc, char **argv)
{{
    FILE *file = argc > 1 && strcmp(argv[1], "-") ? fopen(argv[1], "r") : stdin;
    if (!file) {{
        perror(argv[1]);
        return 1;
    }}
    {(chr(10) + "    ").join(buffers)}
    static double fields[{total}];
    static {ctype} y[{sizes.output}], {state}work[{sizes.work}];
    char text[256];
    for (long line = 1;; ++line) {{
        int k = 0, bad = 0, follows, empty = 1;
        do {{
            follows = read_field(file, text, sizeof text);
            if (follows == 0) {{
                fprintf(stderr, "line %ld: a field is too long\\n", line);
                return 1;
            }}
            char *end;
            const double value = strtod(text, &end);
            empty = empty && text[0] == 0;
            if (end == text || *end != 0)
                bad = 1;
            else if (k < {total})
                fields[k] = value;
            ++k;
        }} while (follows == ',');
        if (k == 1 && empty) {{
            if (follows == EOF)
                return 0;{begin}
            continue;
        }}
{inside}
        if (bad && line == 1)
            continue;
        if (bad || k != {total}) {{
            fprintf(stderr, "line %ld: expected %d numbers\\n", line, {total});
            return 1;
        }}
        const int status = {sizes.function}({arguments}, y, {argument}work);
        if (status != 0) {{
            fprintf(stderr, "line %ld: the network refused the input (%d)\\n", line, status);
            return 1;
        }}
        for (int i = 0; i < {sizes.output}; ++i)
            printf("%s%.{digits}g", i ? "," : "", (double)y[i]);
        printf("\\n");
        if (follows == EOF)
            return 0;
    }}
}}"""
    )
