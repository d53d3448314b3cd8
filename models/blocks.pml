/*
 * Blocks and leases: src/channel/send.c, send_open.c, frame.c, block.c and receive.c, without the sleeping
 * (wait.pml).
 *
 * The producer sends MESSAGES messages of 1 to 3 parts: whole in a block of the frame, step by step if
 * the consumer waits; streaming through the pieces of the window; as a block that its user filled in
 * place and frees on another thread; or open-ended, piece by piece, the first from the frame, flushed at
 * any time. It may give each of them up at every step. The consumer copies, or
 * leases, or drops what it receives; leases are given back by other threads in any order. Checked: every
 * part is read as it was written, by copies and through leases; nothing is written where the consumer
 * still has something; messages come complete and in order; nothing that a right side says is a
 * protocol error; at the end every block has come home.
 *
 * A step is one access to shared memory, and what only its thread sees. Two stores are one step where
 * nobody may look at the first before the second: a descriptor and head, an entry of the return ring and
 * `returned`. The broken variants take such steps apart in the wrong order, or leave a check out.
 */
#ifndef MESSAGES
#define MESSAGES 2
#endif
#define RING 3   /* RING_ENTRIES; one of them is kept back for an abort */
#define FRAME 2  /* cells of the frame */
#define PIECES 2 /* cells of the window, one a piece; blocks 0 and 1 */
#define BLOCKS 5
#define CELLS (FRAME + PIECES)
#define NO_BLOCK BLOCKS
#define NOTHING 255
#define UNKNOWN 0 /* ZCB_OPEN_ENDED: how many parts there are */

/* struct descriptor */
typedef descriptor {
    byte message; /* which, for the checks; the real one has no number */
    byte parts;   /* of the whole message, or UNKNOWN */
    byte cell, count, block;
    bool first, last, whole, abort
};

/* ---- shared: struct stream_control, the rings and the data ---- */
byte head, tail, returned, dropped;
bool wish, producer_closed;
descriptor ring[RING];
byte returns[BLOCKS];
byte data[CELLS];

#define CONTENT(message, part) ((message) * 4 + (part) + 1)

/* ---- for the checks only ---- */
bool theirs[CELLS];      /* published and not given back */
bool complete[MESSAGES]; /* ended by its last part, not by an abort */
byte total[MESSAGES];    /* parts of one that is complete */

/* ---- private to the producer: struct frame ---- */
byte block_cell[BLOCKS], block_size[BLOCKS]; /* size 0: free */
bool block_out[BLOCKS], block_held[BLOCKS];

/* ---- between threads of one process ---- */
byte let_go = NO_BLOCK;    /* tx->let_go */
chan user = [1] of {byte}; /* blocks that their user still has */
byte given_back;           /* rx->returned, under return_lock */
chan leases = [1] of {byte, byte, byte, byte}; /* block, cell, parts, message */

/* ---------------------------------------------------------------- the producer's book: src/channel/frame.c */

inline free_block(b)
{
    block_size[b] = 0;
    block_cell[b] = 0;
    block_held[b] = false;
    block_out[b] = false
}

inline zcbi_frame_give_back(b)
{
    assert(b < BLOCKS && block_size[b] > 0 && block_out[b]); /* ZCB_ERR_PROTOCOL otherwise */
    block_out[b] = false;
    if
    :: !block_held[b] -> free_block(b)
    :: else
    fi
}

inline zcbi_frame_let_go(b)
{
    block_held[b] = false;
    if
#ifdef BROKEN_LET_GO_WHILE_OUT
    :: true -> free_block(b)
#else
    :: !block_out[b] -> free_block(b)
    :: else
#endif
    fi
}

#define TAKEN(at)                                                                                  \
    ((block_size[2] > 0 && block_cell[2] <= at && at < block_cell[2] + block_size[2]) ||           \
     (block_size[3] > 0 && block_cell[3] <= at && at < block_cell[3] + block_size[3]) ||           \
     (block_size[4] > 0 && block_cell[4] <= at && at < block_cell[4] + block_size[4]))

/* The lowest place that fits; `b` is NO_BLOCK when there is none. */
inline zcbi_frame_allocate(size, b)
{
    b = PIECES;
    do
    :: b < BLOCKS && block_size[b] > 0 -> b++
    :: else -> break
    od;
    if
    :: b < BLOCKS && !TAKEN(0) && (size == 1 || (size == 2 && !TAKEN(1))) ->
        block_cell[b] = 0;
        block_size[b] = size;
        block_out[b] = true
    :: b < BLOCKS && size == 1 && TAKEN(0) && !TAKEN(1) ->
        block_cell[b] = 1;
        block_size[b] = 1;
        block_out[b] = true
    :: else -> b = NO_BLOCK
    fi
}

/* ---------------------------------------------------------------- the producer: src/channel/send.c */

/* zcbi_blocks_collect, zcbi_tx_collect */
inline collect()
{
    atomic {
        if
        :: let_go != NO_BLOCK -> zcbi_frame_let_go(let_go); let_go = NO_BLOCK
        :: else
        fi
    };
    seen = returned;
    do
    :: collected == seen -> break
    :: else ->
        d_step {
            b = returns[collected % BLOCKS];
            returns[collected % BLOCKS] = NO_BLOCK;
            zcbi_frame_give_back(b);
            collected++;
            b = 0
        }
    od;
    seen = 0
}

/* Descriptors that can be published, one kept back for an abort. */
inline ring_room()
{
#ifdef BROKEN_RING_WITHOUT_TAIL
    room = RING - 1;
#else
    assert(tail <= head && head - tail <= RING);
    room = (RING - (head - tail) > 0 -> RING - (head - tail) - 1 : 0);
#endif
    ring_full = room == 0
}

#define CONSUMER_WAITS (wish && tail == head)
#define DROPPED (begun && dropped == number + 1)
#define SOMETHING_BACK (returned != collected || let_go != NO_BLOCK)
#define RING_READY (ring_full && head - tail < RING - 1)

inline fill(at, what)
{
    d_step { assert(!theirs[at]); data[at] = what }
}

inline write_descriptor(b, at, n, is_last, is_whole, is_abort)
{
    assert(head - tail < RING);
    ring[where].message = number;
    ring[where].parts = (open && (begun || !is_last) -> UNKNOWN : parts);
    ring[where].cell = at;
    ring[where].count = n;
    ring[where].block = b;
    ring[where].first = !begun;
    ring[where].last = is_last;
    ring[where].whole = is_whole;
    ring[where].abort = is_abort;
    where = (where + 1) % RING;
    begun = true;
    published = published + n;
    if
    :: n > 0 -> theirs[at] = true
    :: else
    fi;
    if
    :: n > 1 -> theirs[at + 1] = true
    :: else
    fi;
    if
    :: is_last -> complete[number] = true; total[number] = published
    :: else
    fi
}

inline publish(b, at, n, is_last, is_whole, is_abort)
{
#ifdef BROKEN_HEAD_FIRST
    head++;
    d_step { write_descriptor(b, at, n, is_last, is_whole, is_abort) }
#else
    d_step { write_descriptor(b, at, n, is_last, is_whole, is_abort); head++ }
#endif
}

/* publish_whole */
inline publish_whole()
{
    if
    :: written == parts ->
        publish(block, block_cell[block] + published, written - published, true, true, false)
    :: else ->
        atomic { ring_room() };
        if
        :: room >= 2 && (begun || CONSUMER_WAITS) ->
            publish(block, block_cell[block] + published, written - published, false, true, false)
        :: else
        fi
    fi
}

inline zcbi_tx_abort()
{
    if
    :: begun && published < parts -> publish(NO_BLOCK, 0, 0, false, false, true)
    :: !begun && block != NO_BLOCK -> d_step { zcbi_frame_give_back(block) }
    :: else
    fi
}

/* zcbi_tx_begin: choose_way until a way is open. Given up here, nothing of the message can be seen. */
inline begin()
{
    do
    :: collect();
        atomic { ring_room() };
        if
        :: parts > 1 && CONSUMER_WAITS -> streaming = true; break /* worth_streaming */
        :: room > 0 && parts <= FRAME -> d_step { zcbi_frame_allocate(parts, block) }
        :: else
        fi;
        if
        :: block != NO_BLOCK -> break
        :: block == NO_BLOCK && CONSUMER_WAITS -> streaming = true; break
        :: else
        fi;
        if /* wait_for_room, room_ready */
        :: SOMETHING_BACK || RING_READY || CONSUMER_WAITS
        :: given_up = true; break
        fi
    od
}

/* zcbi_tx_write, zcbi_tx_abort */
inline write()
{
    do
    :: written == parts -> break
    :: written < parts && DROPPED -> zcbi_tx_abort(); break
    :: written < parts -> zcbi_tx_abort(); break /* its user gives it up */
    :: written < parts && !streaming -> /* write_whole */
#ifdef BROKEN_PUBLISH_BEFORE_FILL
        written++;
        publish_whole();
        data[block_cell[block] + written - 1] = CONTENT(number, written - 1)
#else
        fill(block_cell[block] + written, CONTENT(number, written));
        written++;
        publish_whole()
#endif
    :: written < parts && streaming -> /* write_streaming, take_piece */
        collect();
        atomic { ring_room() };
        if
        :: room > 0 && block_size[0] == 0 -> piece = 0
        :: room > 0 && block_size[1] == 0 -> piece = 1
        :: else
        fi;
        if
        :: piece == NO_BLOCK ->
            if
            :: SOMETHING_BACK || RING_READY || DROPPED
            :: zcbi_tx_abort(); break
            fi
        :: else ->
            d_step {
                block_size[piece] = 1;
                block_out[piece] = true;
                block_cell[piece] = FRAME + piece
            };
            fill(FRAME + piece, CONTENT(number, written));
            written++;
            publish(piece, FRAME + piece, 1, written == parts, false, false);
            piece = NO_BLOCK
        fi
    od
}

/* ---- open-ended: src/channel/send_open.c. A piece of the frame holds two parts, one of the window one. ---- */

/* zcbi_open_begin */
inline begin_open()
{
    do
    :: collect();
        atomic { ring_room() };
        if
        :: room > 0 -> break
        :: else ->
            if
            :: SOMETHING_BACK || RING_READY
            :: given_up = true; break
            fi
        fi
    od
}

/* zcbi_frame_take_piece */
inline take_window_piece()
{
    if
    :: block_size[0] == 0 -> block = 0
    :: block_size[0] > 0 && block_size[1] == 0 -> block = 1
    :: else
    fi;
    if
    :: block != NO_BLOCK ->
        block_size[block] = 1;
        block_out[block] = true;
        block_cell[block] = FRAME + block
    :: else
    fi
}

/* allocate_piece; the first one is the frame's, the others the window's, if there is one */
inline allocate_piece()
{
    block = NO_BLOCK;
    if
    :: !begun -> zcbi_frame_allocate(2, block)
    :: else
    fi;
    if
    :: block == NO_BLOCK -> take_window_piece()
    :: else
    fi;
    if
    :: block == NO_BLOCK -> zcbi_frame_allocate(2, block)
    :: else
    fi;
    space = (block == NO_BLOCK -> 0 : block_size[block])
}

/* publish_piece; afterwards the frame's block keeps what was written of it: zcbi_frame_shrink */
inline publish_piece(is_last, is_whole)
{
    if
    :: block == NO_BLOCK -> publish(NO_BLOCK, 0, 0, is_last, is_whole, false)
    :: else ->
        count = written - published;
        publish(block, block_cell[block], count, is_last, is_whole, false);
        d_step {
#ifdef BROKEN_SHRINK_TOO_MUCH
            block_size[block] = 1;
#else
            block_size[block] = count;
#endif
            block = NO_BLOCK;
            space = 0;
            count = 0
        }
    fi
}

/* zcbi_tx_abort */
inline abort_open()
{
    if
#ifdef BROKEN_ABORT_KEEPS_PIECE
    :: block != NO_BLOCK && !begun ->
#else
    :: block != NO_BLOCK ->
#endif
        d_step { zcbi_frame_give_back(block); block = NO_BLOCK }
    :: else
    fi;
    if
    :: begun -> publish(NO_BLOCK, 0, 0, false, false, true)
    :: else
    fi
}

/* zcbi_open_end */
inline end_open()
{
    if
    :: begun -> publish_piece(true, false)
    :: else -> publish_piece(true, block >= PIECES)
    fi;
#ifdef BROKEN_END_TWICE
    publish(NO_BLOCK, 0, 0, true, false, false)
#endif
}

/* zcbi_open_write, _flush, _end */
inline write_open()
{
    do
    :: written == parts -> end_open(); break
    :: abort_open(); break /* its user gives it up */
    :: block != NO_BLOCK && written > published -> publish_piece(false, false) /* flushed */
    :: block != NO_BLOCK && written < parts && space > 0 ->
        d_step {
            count = block_cell[block] + (written - published);
            assert(!theirs[count]);
            data[count] = CONTENT(number, written);
            count = 0;
            written++;
            space--
        }
    :: block != NO_BLOCK && space == 0 -> publish_piece(false, false) /* it is full */
    :: block == NO_BLOCK && written < parts -> /* take_piece */
        if
        :: DROPPED -> abort_open(); break
        :: else
        fi;
        collect();
        atomic { ring_room() };
#ifdef BROKEN_KEPT_FOR_A_PIECE
        room = RING - (head - tail);
#endif
        if
        :: room > 0 -> d_step { allocate_piece() }
        :: else
        fi;
        if
        :: block == NO_BLOCK ->
            if
            :: SOMETHING_BACK || RING_READY || DROPPED
            :: abort_open(); break
            fi
        :: else
        fi
    od
}

/* zcb_block_allocate, send_block; zcb_block_free is the user's thread's. It may never be sent. */
inline send_users_block()
{
    do
    :: collect();
        d_step { zcbi_frame_allocate(1, block) };
        if
        :: block != NO_BLOCK -> break
        :: else -> SOMETHING_BACK /* wait_for_memory */
        fi
    od;
    atomic { block_out[block] = false; block_held[block] = true }; /* zcbi_frame_hold */
    fill(block_cell[block], CONTENT(number, 0));
    do
    :: collect();
        atomic { ring_room() };
        if
        :: room > 0 ->
            block_out[block] = true; /* zcbi_frame_set_out */
            publish(block, block_cell[block], 1, true, true, false);
            break
        :: else -> RING_READY || SOMETHING_BACK || CONSUMER_WAITS
        fi
    :: break
    od;
    user ! block
}

active proctype producer()
{
    byte number, calls, parts, written, published, where, collected, b, seen, room, space, count;
    byte block = NO_BLOCK, piece = NO_BLOCK;
    bool begun, streaming, open, ring_full, given_up;
    do
    :: calls == MESSAGES -> break
    :: calls < MESSAGES ->
        calls++;
        if
        :: parts = 1
        :: parts = 2
        :: parts = 3
        fi;
        if
        :: begin();
            if
            :: !given_up -> write()
            :: else
            fi
        :: parts == 1 -> send_users_block()
        :: open = true;
            begin_open();
            if
            :: !given_up -> write_open()
            :: else
            fi
        fi;
        atomic {
            if
            :: begun -> number++
            :: else
            fi;
            parts = 0;
            written = 0;
            published = 0;
            room = 0;
            space = 0;
            block = NO_BLOCK;
            begun = false;
            streaming = false;
            open = false;
            ring_full = false;
            given_up = false
        }
    od;
    producer_closed = true;
    do /* all that went out comes home */
    :: collect();
        if
        :: !TAKEN(0) && !TAKEN(1) && block_size[0] == 0 && block_size[1] == 0 -> break
        :: else -> SOMETHING_BACK
        fi
    od
}

/* zcb_block_free (src/channel/block.c), on a thread that waits for nobody. One block a time is on its way here,
 * so that the list of let_go is a place. */
active proctype block_user()
{
end:
    do
    :: atomic { let_go == NO_BLOCK && nempty(user) -> user ? let_go }
    od
}

/* ---------------------------------------------------------------- the consumer: src/channel/receive.c */

/* From here on anybody may write there. */
inline forget(b)
{
    theirs[block_cell[b]] = false;
    data[block_cell[b]] = NOTHING;
    if
    :: block_size[b] == 2 ->
        theirs[block_cell[b] + 1] = false;
        data[block_cell[b] + 1] = NOTHING
    :: else
    fi
}

/* zcbi_rx_give_back */
inline give_back(b)
{
#ifdef BROKEN_NO_RETURN_LOCK
    d_step { forget(b); returns[given_back % BLOCKS] = b };
    given_back++;
    returned = given_back
#else
#ifdef BROKEN_COUNT_BEFORE_ENTRY
    d_step { forget(b); given_back++; returned = given_back; slot = (given_back - 1) % BLOCKS };
    d_step { returns[slot] = b; slot = 0 }
#else
    d_step { forget(b); returns[given_back % BLOCKS] = b; given_back++; returned = given_back }
#endif
#endif
}

inline give_back_part()
{
    if
    :: block != NO_BLOCK && (!whole || last) -> give_back(block); block = NO_BLOCK
#ifdef BROKEN_GIVES_BACK_TWICE
    :: block != NO_BLOCK && !whole && parts == UNKNOWN -> give_back(block); give_back(block); block = NO_BLOCK
#endif
    :: else
    fi
}

inline end_message(is_complete)
{
    d_step {
        receiving = false;
        assert(complete[ended] == is_complete);
        ended++;
        block = NO_BLOCK;
        cell = 0;
        left = 0;
        parts = 0;
        got = 0;
        arrived = 0;
        whole = false;
        last = false
    }
}

/* memcpy of the descriptor; a step that clears it again, so that states differ less, is not in the C */
inline read_descriptor()
{
    d.message = ring[taken % RING].message;
    d.parts = ring[taken % RING].parts;
    d.cell = ring[taken % RING].cell;
    d.count = ring[taken % RING].count;
    d.block = ring[taken % RING].block;
    d.first = ring[taken % RING].first;
    d.last = ring[taken % RING].last;
    d.whole = ring[taken % RING].whole;
    d.abort = ring[taken % RING].abort;
    ring[taken % RING].message = NOTHING;
    ring[taken % RING].parts = 0;
    ring[taken % RING].cell = 0;
    ring[taken % RING].count = 0;
    ring[taken % RING].block = 0;
    ring[taken % RING].first = 0;
    ring[taken % RING].last = 0;
    ring[taken % RING].whole = 0;
    ring[taken % RING].abort = 0;
    taken++
}

/* descriptor_fits, first_makes_sense, next_makes_sense; into `now` */
inline use_descriptor()
{
    assert(d.message == ended && d.first == !receiving);
    if
    :: !receiving ->
        receiving = true;
        whole = d.whole;
        parts = d.parts
    :: else ->
        assert(d.whole == whole && (!whole || (d.block == block && d.cell == cell + left)))
    fi;
    if
    :: !whole || left == 0 -> cell = d.cell
    :: else
    fi;
    block = d.block;
    left = left + d.count;
    arrived = arrived + d.count;
    last = d.last;
    assert(parts == UNKNOWN || last == (arrived == parts))
}

/* `aborted` when it ends the message without success. */
inline take_descriptor()
{
#ifdef BROKEN_TAIL_FIRST
    tail = taken + 1;
    d_step { read_descriptor(); aborted = d.abort };
#else
    d_step { read_descriptor(); tail = taken; aborted = d.abort };
#endif
    if
    :: aborted ->
        assert(receiving && d.message == ended);
        if
        :: whole && block != NO_BLOCK -> give_back(block)
        :: else
        fi;
        end_message(false)
    :: else -> d_step { use_descriptor() }
    fi;
    d_step {
        d.message = 0;
        d.parts = 0;
        d.cell = 0;
        d.count = 0;
        d.block = 0;
        d.first = 0;
        d.last = 0;
        d.whole = 0;
        d.abort = 0
    }
}

/* zcbi_rx_read, one part of it */
inline read_part()
{
#ifdef BROKEN_GIVE_BACK_EARLY
    if
    :: left == 1 -> give_back_part()
    :: else
    fi;
#endif
    d_step { assert(data[cell] == CONTENT(ended, got)); cell++; left--; got++ };
    if
    :: left == 0 -> give_back_part()
    :: else
    fi
}

/* zcb_receive_lease, then zcb_receive_end */
inline lease()
{
    do
    :: last || aborted -> break
    :: else -> head != taken; take_descriptor()
    od;
    if
    :: aborted
    :: else ->
        leases ! block, cell, parts, ended;
#ifdef BROKEN_END_GIVES_LEASE_BACK
        give_back(block);
#endif
        end_message(true)
    fi
}

/* `waits`: also for what has not arrived yet */
inline discard(waits)
{
    do
    :: cell = cell + left;
        left = 0;
        give_back_part();
        if
        :: last -> end_message(true); break
        :: else
        fi;
        if
        :: head != taken -> take_descriptor()
        :: !waits && head == taken -> break
        fi;
        if
        :: aborted -> break
        :: else
        fi
    od
}

active proctype consumer()
{
    descriptor d;
    byte ended, taken, cell, left, parts, got, arrived, slot;
    byte block = NO_BLOCK;
    bool receiving, whole, last, aborted;
    do
    :: wish = true; /* zcb_receive_begin */
        if
        :: receiving -> discard(true)
        :: else
        fi;
        aborted = false;
        if
        :: head != taken
        :: producer_closed && head == taken -> break
        fi;
        take_descriptor();
        do
        :: left > 0 -> read_part()
        :: left == 0 && !last -> /* next_part */
            head != taken;
            take_descriptor();
            if
            :: aborted -> break
            :: else
            fi
        :: left == 0 && last -> /* zcb_receive_end */
            assert(got == total[ended]);
            end_message(true);
            break
        :: whole && got == 0 -> lease(); break
        :: left > 0 || !last -> dropped = ended + 1; discard(false); break /* zcb_receive_drop */
        od;
        atomic { aborted = false; wish = false }
    od;
    assert(!receiving)
}

/* Who holds a lease and gives it back: zcb_lease_free, on any thread */
active [2] proctype lessee()
{
    byte block, cell, parts, message, slot;
end:
    do
    :: leases ? block, cell, parts, message ->
        d_step {
            assert(data[cell] == CONTENT(message, 0));
            assert(parts == 1 || data[cell + 1] == CONTENT(message, 1))
        };
#ifndef BROKEN_END_GIVES_LEASE_BACK
        give_back(block);
#endif
        d_step { block = 0; cell = 0; parts = 0; message = 0 }
    od
}
