#!/bin/sh
# Each atomic operation of the C sources names its partners, the functions with what it pairs with, in a comment: behind the
# statement or on the line before it,
#
#     atomic_store(&tx->control->head, tx->head); /* partner: data_ready, wait_for_data */
#
# Fails for an operation that names none, and for a partner that is no function or does not touch that field. Words after a
# comma that are no names ("partner: session_urgent, the last call") are for the reader.
set -eu
cd "$(dirname "$0")/.."

find src python/native -name '*.[ch]' | sort | xargs awk '
# The name of what an operation is on: the last part of its first argument, without indices.
function field_of(text,    depth, i, c, argument)
{
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "(" || c == "[")
            depth++
        if ((c == "," || c == ")") && depth == 0)
            break
        if (c == ")" || c == "]")
            depth--
        argument = argument c
    }
    gsub(/\[[^]]*\]/, "", argument)
    match(argument, /[A-Za-z0-9_]+[^A-Za-z0-9_]*$/)
    argument = substr(argument, RSTART)
    sub(/[^A-Za-z0-9_]+$/, "", argument)
    return argument
}

function complain(text)
{
    print place ": " text > "/dev/stderr"
    failed = 1
}

# A statement is over: notes its operations with what its comments name.
function note(    rest, fields)
{
    rest = statement
    while (match(rest, /atomic_(load|store|exchange|fetch_[a-z]+|compare_exchange_[a-z]+)(_explicit)?\(/)) {
        rest = substr(rest, RSTART + RLENGTH)
        fields = fields " " field_of(rest)
    }
    if (fields != "") {
        operations++
        place_of[operations] = FILENAME ":" line
        fields_of[operations] = fields
        partners_of[operations] = partners
    }
    statement = partners = ""
}

# What of the comment "partner: a, b, the rest" are names.
function names_in(comment,    count, words, i, found)
{
    sub(/^.*partner: */, "", comment)
    sub(/ *\*\/.*$/, "", comment)
    count = split(comment, words, /, */)
    for (i = 1; i <= count; i++)
        if (words[i] ~ /^[A-Za-z_][A-Za-z0-9_]*$/)
            found = found " " words[i]
    return found
}

FNR == 1 { statement = partners = name = "" }

# A function begins with its name in the first column of a line, and its body ends with the next } there.
/^[A-Za-z_].*[A-Za-z0-9_]\(/ && !/;$/ {
    name = $0
    sub(/\(.*/, "", name)
    sub(/.*[^A-Za-z0-9_]/, "", name)
}
/^\{/ && name != "" { is_function[name] = 1 }
/^\}/ { name = ""; statement = partners = ""; next }

{
    code = $0
    named = /partner:/ ? names_in(code) : ""
    gsub(/\/\*.*\*\//, "", code)
    if (name != "")
        body[name] = body[name] " " code
    partners = partners named
    if (code ~ /atomic_/)
        line = FNR
    statement = statement " " code
    # The end of a statement, of its head, or of a condition.
    if (code ~ /[;{}] *$/ || (code ~ /\) *$/ && balanced(statement)))
        note()
}

function balanced(text,    opened, closed)
{
    opened = gsub(/\(/, "(", text)
    closed = gsub(/\)/, ")", text)
    return opened == closed
}

# A field of the same name, or one whose name ends in it ("asleep", "consumer_asleep").
function touches(partner, field)
{
    return body[partner] ~ ("(^|[^A-Za-z0-9_])([A-Za-z0-9]+_)*" field "([^A-Za-z0-9_]|$)")
}

END {
    for (i = 1; i <= operations; i++) {
        place = place_of[i]
        count = split(partners_of[i], partner, " ")
        fields = split(fields_of[i], field, " ")
        if (count == 0)
            complain("an atomic operation on " field[1] " names no partner (/* partner: FUNCTION */)")
        for (p = 1; p <= count; p++) {
            if (!(partner[p] in is_function)) {
                complain("the partner " partner[p] " is no function")
                continue
            }
            touched = 0
            for (f = 1; f <= fields; f++)
                touched = touched || touches(partner[p], field[f])
            if (!touched)
                complain("the partner " partner[p] " does not touch" fields_of[i])
        }
    }
    exit failed
}'
