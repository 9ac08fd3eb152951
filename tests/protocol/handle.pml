/* The protocol of a movable heap's entries (src/movable/entry.h) and of read sections (readers.h), for exhaustive search.
 *
 * One entry, used again and again, and few places for its blocks, so that both are reused at once. One statement, atomic or d_step is
 * one step; a compare-and-swap loop is its last round; waiting for MOVING is a step that can't be done yet. A block has two
 * halves, which are written, copied and read one after the other; each holds the generation of its block.
 *
 * A BUG_ macro breaks one rule; the search must then end in an error (tests/protocol/run). The scenario's sizes (-D) bound what the threads
 * do, not how their steps interleave. */

#ifndef PLACES
#define PLACES 2
#endif
#ifndef PINS
#define PINS 0, 0 /* how often each pinner pins */
#endif
#ifndef FREES
#define FREES 0, 0 /* how often each freer frees what it knows, freed before or not */
#endif
#ifndef MOVES
#define MOVES 0, 0 /* how often each mover tries */
#endif
#ifndef READS
#define READS 0, 0 /* sections of each reader */
#endif
#ifndef ALLOCS
#define ALLOCS 0
#endif

#define GENERATIONS (ALLOCS + 3)
#define NOWHERE     PLACES /* address: a link of the list of free entries; a place: none */

/* A place. */
#define UNUSED 0
#define USED   1
#define DEAD   2

/* The entry: the word, which changes in one step, and the address. */
byte gen = 1;
bool live = true;
bool moving;
byte pins;
byte address;

bool on_list; /* the entry is free for the allocator */
byte known = 1; /* the newest handle; threads that read it earlier know an older one */
byte handed; /* a pin that its pinner leaves to another thread to undo */

byte half0[PLACES + 1];
byte half1[PLACES + 1];
byte writes[PLACES + 1]; /* by pinners to the block, kept in its second half */
byte state[PLACES + 1];
byte died[PLACES + 1];

byte epoch = 1;
byte record[2]; /* of readers; 0: in no section */

/* For the properties alone. */
byte holders; /* of a pin */
byte written; /* by pinners to this block */
bool freed[GENERATIONS + 1];

#ifdef BUG_NO_GENERATION
#define IS_LIVE(h) live
#else
#define IS_LIVE(h) (live && gen == (h))
#endif

inline store_word(g, p, m)
{
    assert(!freed[g]);
    gen = g;
    live = true;
    pins = p;
    moving = m
}

/* Everybody else waits while the block is being moved. */
#if defined(BUG_PIN_IGNORES_MOVING)
#define PINNABLE true
#else
#define PINNABLE !moving
#endif
#if defined(BUG_FREE_IGNORES_PINS)
#define IDLE (!moving)
#elif defined(BUG_FREE_IGNORES_MOVING)
#define IDLE (pins == 0)
#else
#define IDLE (pins == 0 && !moving)
#endif

inline unpin(h)
{
#ifdef BUG_UNPIN_IN_TWO
    d_step { assert(IS_LIVE(h) && pins > 0); left = pins - 1 };
    d_step { store_word(h, left, false); left = 0; holders-- }
#else
    d_step { assert(IS_LIVE(h) && pins > 0); pins--; holders-- }
#endif
}

/* What a pinned block looks like, and a write to it; it stays where it is until the pin is undone. */
inline use_pinned()
{
    a = address;
    assert(a != NOWHERE && half0[a] == h);
    assert(half1[a] == h);
    d_step { writes[a]++; written++ };
    assert(address == a)
}

proctype Pinner(byte count)
{
    byte h, a, left;
    bool got;
end:
    do
    :: atomic { count > 0 -> count--; h = known };
       if
       :: atomic { !IS_LIVE(h) -> got = false }
#ifdef BUG_PIN_IN_TWO
       :: d_step { IS_LIVE(h) && PINNABLE -> left = pins + 1 };
          d_step { store_word(h, left, false); left = 0; holders++; got = true }
#else
       :: atomic { IS_LIVE(h) && PINNABLE -> pins++; holders++; got = true }
#endif
       fi;
       if
       :: got ->
           use_pinned();
           if
           :: unpin(h)
           :: atomic { handed == 0 -> handed = h }
           fi
       :: else
       fi;
       d_step { h = 0; a = 0; got = false }
    od
}

/* Pins may be undone by any thread. */
proctype Unpinner()
{
    byte h, left;
end:
    do
    :: atomic { handed != 0 -> h = handed; handed = 0 };
       unpin(h);
       h = 0
    od
}

/* The place's block is gone: it may be looked at by sections that began before. */
#define DIE(place, e) state[place] = DEAD; died[place] = e

proctype Freer(byte count)
{
    byte h, a, e;
    bool got;
end:
    do
    :: atomic { count > 0 -> count--; h = known };
#ifdef BUG_STAMP_EARLY
       e = epoch;
#endif
       if
       :: atomic { !IS_LIVE(h) || (pins > 0 && !IDLE) -> got = false }
#ifdef BUG_FREE_IN_TWO
       :: d_step { IS_LIVE(h) && IDLE -> skip };
          d_step {
#else
       :: d_step {
              IS_LIVE(h) && IDLE ->
#endif
              assert(!freed[h]);
              assert(holders == 0);
              freed[h] = true;
              live = false;
              gen++;
              got = true
          }
       fi;
       if
       :: got ->
#ifndef BUG_STAMP_EARLY
           e = epoch;
#endif
#ifdef BUG_LISTED_EARLY
           on_list = true;
#endif
           d_step {
               a = address;
               assert(a != NOWHERE && state[a] == USED && half0[a] == h && half1[a] == h);
               assert(writes[a] == written);
               DIE(a, e)
           };
#ifndef BUG_LISTED_EARLY
           d_step { address = NOWHERE; on_list = true }
#endif
       :: else
       fi;
       d_step { h = 0; a = 0; e = 0; got = false }
    od
}

/* A new epoch, and then the smallest of those that sections began in. */
inline horizon()
{
#ifdef BUG_SCAN_FIRST
    limit = 255;
#else
    d_step { epoch++; limit = epoch };
#endif
    d_step {
        if
        :: record[0] != 0 && record[0] < limit -> limit = record[0]
        :: else
        fi
    };
    d_step {
        if
        :: record[1] != 0 && record[1] < limit -> limit = record[1]
        :: else
        fi
    }
#ifdef BUG_SCAN_FIRST
    ;
    d_step {
        epoch++;
        limit = (epoch < limit -> epoch : limit)
    }
#endif
}

#ifdef BUG_NO_GRACE
#define FREE_PLACE(p) (state[p] != USED)
#else
#define FREE_PLACE(p) (state[p] == UNUSED || (state[p] == DEAD && died[p] < limit))
#endif

/* To `to`; NOWHERE if none can be used. */
inline get_place()
{
    horizon();
    d_step {
        to = 0;
        do
        :: to < PLACES && !FREE_PLACE(to) -> to++
        :: else -> break
        od;
        if
        :: to < PLACES -> state[to] = USED
        :: else
        fi;
        limit = 0
    }
}

proctype Mover(byte count)
{
    byte g, a, to, e, limit;
end:
    do
    :: d_step {
           count > 0 ->
           count--;
#ifdef BUG_MOVE_IGNORES_PINS
           g = (live && !moving -> gen : 0)
#else
           g = (live && !moving && pins == 0 -> gen : 0)
#endif
       };
       if
       :: g != 0 ->
           get_place();
           if
           :: to == NOWHERE -> g = 0
#ifdef BUG_MOVE_WITHOUT_SWAP
           :: d_step { to != NOWHERE -> store_word(g, 0, true) }
#elif defined(BUG_MOVE_IGNORES_PINS)
           :: d_step { to != NOWHERE && IS_LIVE(g) && !moving -> moving = true }
           :: d_step { to != NOWHERE && !(IS_LIVE(g) && !moving) -> state[to] = UNUSED; g = 0 }
#else
           :: d_step { to != NOWHERE && IS_LIVE(g) && !moving && pins == 0 -> moving = true }
           :: d_step { to != NOWHERE && !(IS_LIVE(g) && !moving && pins == 0) -> state[to] = UNUSED; g = 0 }
#endif
           fi
       :: else
       fi;
       if
       :: g != 0 ->
           a = address;
#ifdef BUG_STAMP_EARLY
           e = epoch;
#endif
#ifdef BUG_PUBLISH_EARLY
           address = to;
#endif
           half0[to] = half0[a];
#ifdef BUG_END_BEFORE_COPY
           d_step { store_word(g, 0, false) };
#endif
           d_step { half1[to] = half1[a]; writes[to] = writes[a] };
#ifdef BUG_END_BEFORE_ADDRESS
           d_step { store_word(g, 0, false) };
#endif
           d_step { assert(holders == 0); address = to };
#ifndef BUG_STAMP_EARLY
           e = epoch;
#endif
           d_step { DIE(a, e) };
#if !defined(BUG_END_BEFORE_ADDRESS) && !defined(BUG_END_BEFORE_COPY)
           d_step { store_word(g, 0, false) };
#endif
       :: else
       fi;
       d_step { g = 0; a = 0; to = 0; e = 0 }
    od
}

proctype Allocator(byte count)
{
    byte to, limit;
end:
    do
    :: atomic { count > 0 && on_list -> count--; on_list = false };
       get_place();
       if
       :: to == NOWHERE -> on_list = true
       :: else ->
           half0[to] = gen;
           d_step { half1[to] = gen; writes[to] = 0; written = 0 };
#ifdef BUG_LIVE_BEFORE_ADDRESS
           d_step { store_word(gen, 0, false); known = gen };
           address = to
#else
           address = to;
           d_step { store_word(gen, 0, false); known = gen }
#endif
       fi;
       to = 0
    od
}

/* hm_deref in a section: plain loads. */
proctype Reader(byte me; byte count)
{
    byte h, a, e;
    bool same;
end:
    do
    :: atomic { count > 0 -> count--; h = known };
#ifdef BUG_ENTER_LATE
       a = address;
#endif
       e = epoch;
       record[me] = e;
#ifdef BUG_WORD_FIRST
       same = IS_LIVE(h);
#endif
#ifndef BUG_ENTER_LATE
       a = address;
#endif
#ifndef BUG_WORD_FIRST
       same = IS_LIVE(h);
#endif
       if
       :: same ->
           assert(a != NOWHERE && half0[a] == h);
           assert(half1[a] == h)
       :: else
       fi;
       d_step { record[me] = 0; h = 0; a = 0; e = 0; same = false }
    od
}

/* When nobody can do anything any more, nothing has been lost. */
init
{
    byte pinners[2] = { PINS };
    byte freers[2] = { FREES };
    byte movers[2] = { MOVES };
    byte readers[2] = { READS };
    byte i, used;
    atomic {
        half0[0] = 1;
        half1[0] = 1;
        state[0] = USED;
        for (i : 0 .. 1) {
            if
            :: pinners[i] > 0 -> run Pinner(pinners[i])
            :: else
            fi;
            if
            :: freers[i] > 0 -> run Freer(freers[i])
            :: else
            fi;
            if
            :: movers[i] > 0 -> run Mover(movers[i])
            :: else
            fi;
            if
            :: readers[i] > 0 -> run Reader(i, readers[i])
            :: else
            fi
        }
        if
        :: pinners[0] > 0 -> run Unpinner()
        :: else
        fi;
        run Allocator(ALLOCS);
        i = 0
    };
    timeout;
    assert(pins == 0 && holders == 0 && handed == 0 && !moving);
    assert(live == !on_list);
    assert(!live || (address != NOWHERE && half0[address] == gen && writes[address] == written));
    for (i : 0 .. PLACES - 1) {
        used = used + (state[i] == USED)
    }
    assert(used == live)
}
