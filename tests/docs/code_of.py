"""Prints the C code of a document as one function, so that the compiler checks it."""

import re
import sys
from pathlib import Path

# The names that the document uses without declaring them.
FRAME = """
#include <stdio.h>
#include <string.h>

#include <zcb/zcb.h>

void fill(void *memory, uint64_t bytes);
void serve(zcb_channel *channel);
void use_bytes(const void *memory, size_t bytes);
void use_result(const zcb_result *result);
void watch_for_reading(intptr_t event);
zcb_error document(zcb_channel *channel, const char *data, size_t data_bytes, void *memory,
                   size_t memory_bytes, uint64_t bytes);

zcb_error document(zcb_channel *channel, const char *data, size_t data_bytes, void *memory,
                   size_t memory_bytes, uint64_t bytes)
{
%s
    return error;
}
"""

document = Path(sys.argv[1])
parts = []
text = document.read_text(encoding="utf-8")
for match in re.finditer(r"^```c\n(.*?)^```$", text, re.M | re.S):
    line = text.count("\n", 0, match.start()) + 2
    parts.append(f'#line {line} "{document.name}"\n{match[1]}')
if not parts:
    sys.exit(f"{document} has no C code")
print(FRAME % "\n".join(parts))
