/* The remote free protocol of src/heap/remote.h, for exhaustive search.
 *
 * One statement, atomic or d_step is one step. Steps are joined only where nobody can tell: taking a lock moves to what
 * follows it, releasing it to what precedes it, a compare-and-swap loop is its last round, and words that one thread alone can see go with anything.
 *
 * A BUG_ macro breaks one rule; the search must then end in an error (tests/protocol/run). The scenario's sizes (-D) bound what the
 * threads do, not how their steps interleave. */

#ifndef CHUNKS
#define CHUNKS 2 /* descriptors in the type stable pool */
#endif
#ifndef WINDOWS
#define WINDOWS 2 /* places for a block in a chunk */
#endif
#ifndef HEAPS
#define HEAPS 2
#endif
#ifndef FREERS
#define FREERS 2
#endif
#ifndef ALLOCS
#define ALLOCS 1, 1 /* blocks that each thread may allocate, */
#endif
#ifndef EXITS
#define EXITS 0, 0 /* times it may end; a new thread may take its heap then */
#endif
#ifndef PURGES
#define PURGES 0 /* times the memory of unused descriptors is given back to the OS */
#endif
#ifndef SPREAD
#define SPREAD 0 /* 1: heap 1 starts with two chunks */
#endif
#ifndef DRAINS
#define DRAINS 1 /* times each thread works off its inbox for no reason */
#endif

#if SPREAD
#define START    FREERS
#define PLACE(i) ((i) % CHUNKS * WINDOWS + (i) / CHUNKS)
#else
#define START    (FREERS < WINDOWS -> FREERS : WINDOWS)
#define PLACE(i) (i)
#endif

#define NOBODY      0
#define PLACES      (CHUNKS * WINDOWS)
#define CHUNK_OF(w) ((w) / WINDOWS)
#define USED(c)     (kept[c] - gone[c])
#if WINDOWS == 2
#define BLOCKS(c) ((mark[(c) * 2] != FREE) + (mark[(c) * 2 + 1] != FREE))
#endif

/* A map byte. */
#define FREE   0
#define CACHED 1
#define USER   2

/* A thread heap. */
#define SPARE  0
#define LIVE   1
#define ORPHAN 2

/* The allocator's words. Heaps are numbered from 1; a chunk on a list is its number + 1. */
byte mark[PLACES];
byte owner[CHUNKS];
byte kept[CHUNKS]; /* `used` is kept - gone: */
byte gone[CHUNKS];
bool announced[CHUNKS];
byte inbox_next[CHUNKS];
bool pooled[CHUNKS];
bool purging; /* the pool's lock */
byte inbox[HEAPS + 1];
byte state[HEAPS + 1];
byte lock[HEAPS + 1]; /* [0]: the registry's */

/* What freers have to free: place + 1. */
byte hand[FREERS];
bool freeing[FREERS];

/* For the properties alone. */
byte operations;      /* under way */
byte between[CHUNKS]; /* freers between mark and count */
bool fresh[CHUNKS];   /* made, and nothing carved yet */
bool unseen[CHUNKS];  /* freed into since the owner last looked at `used` */
byte on_list[CHUNKS]; /* the inbox it is linked in; TAKEN: in a list that somebody took */
#define TAKEN 255
#ifdef DOUBLE
bool freed[PLACES]; /* this block was taken from its user */
#define NOT_FREED(w) freed[w] = false
#else
#define NOT_FREED(w) skip
#endif

#define TAKE(l)   lock[l] == 0 -> lock[l] = _pid + 1
#define UNLOCK(l) assert(lock[l] == _pid + 1); lock[l] = 0

/* What holds whenever nobody is inside an operation. */
inline check_quiet()
{
    if
    :: operations == 0 ->
        i = 0;
        do
        :: i == CHUNKS -> break
        :: else ->
            assert(owner[i] == NOBODY || USED(i) != 0 || fresh[i]);
            assert(between[i] == 0);
            assert(owner[i] == NOBODY || USED(i) == BLOCKS(i));
            assert(pooled[i] == (owner[i] == NOBODY));
            assert(announced[i] == (on_list[i] != 0));
            assert(on_list[i] != TAKEN);
            assert(!unseen[i] || on_list[i] != 0);
#ifndef WEAK
            assert(!unseen[i] || on_list[i] == owner[i]);
#endif
            i++
        od;
        i = 0
    :: else
    fi
}

#define END atomic { operations--; check_quiet() }

/* The chunk goes back to the page heap; `heap`'s lock is held. */
inline release(c, heap)
{
    assert(lock[heap] == _pid + 1);
    assert(owner[c] == heap && !pooled[c]);
    assert(USED(c) == 0);
    assert(between[c] == 0);
    i = 0;
    do
    :: i == WINDOWS -> break
    :: else -> assert(mark[c * WINDOWS + i] == FREE); i++
    od;
    i = 0;
    unseen[c] = false;
    fresh[c] = false;
    owner[c] = NOBODY;
    pooled[c] = true
}

/* Links `x` into the inbox of `to`. */
inline push()
{
#ifdef BUG_PUSH_WITHOUT_SWAP
    d_step { assert(on_list[x] == 0); head = inbox[to]; inbox_next[x] = head };
    d_step { inbox[to] = x + 1; on_list[x] = to; head = 0 }
#else
    d_step { assert(on_list[x] == 0); inbox_next[x] = inbox[to]; inbox[to] = x + 1; on_list[x] = to }
#endif
}

/* Where the owner looks at `used` of a chunk that was announced. */
#ifdef BUG_CLEAR_LATE
#define LOOK skip
#else
#define LOOK unseen[x] = false
#endif

/* Whoever makes a chunk no longer the heap's works off the inbox then, before it lets go of the lock. The chunk must not stay there when
 * the heap's thread sleeps: nobody would hear of remote frees in it, or in the chunk that gets its descriptor next. */
#if defined(BUG_RELEASE_KEEPS_INBOX) || defined(BUG_RELEASE_DRAINS_FIRST)
#define DRAIN_AFTER(heap) skip
#else
#define DRAIN_AFTER(heap) drain(heap)
#endif

/* Puts a whole inbox in front of the private list `list`. It must hold just the chunks that were pushed, and end. */
inline take_inbox(heap)
{
    d_step {
        head = inbox[heap];
        tail = head;
        i = 0;
        do
        :: tail == 0 -> break
        :: else ->
            i++;
            assert(i <= CHUNKS);
            assert(on_list[tail - 1] == heap);
            on_list[tail - 1] = TAKEN;
            if
            :: inbox_next[tail - 1] == 0 -> inbox_next[tail - 1] = list; list = head; tail = 0
            :: else -> tail = inbox_next[tail - 1]
            fi
        od;
        i = 0;
        do
        :: i == CHUNKS -> break
        :: else -> assert(on_list[i] != heap); i++
        od;
        i = 0;
        head = 0;
        inbox[heap] = 0
    }
}

#define OFF_LIST(c) assert(on_list[c] == TAKEN); on_list[c] = 0; announced[c] = false

/* Unlinks the first chunk of the private list to `x`: the link is read before anybody may link the chunk again. */
inline next_of_list()
{
    x = list - 1;
    list = inbox_next[x];
    inbox_next[x] = 0;
    OFF_LIST(x)
}

/* Step 3. If the owner changed meanwhile, the chunk lies in an inbox that perhaps nobody looks into again: then that inbox
 * is taken and all of it comes to `list`, to be announced anew. */
inline announce()
{
    do
    :: announced[x] -> break
    :: atomic { !announced[x] -> announced[x] = true };
       if
       :: owner[x] == NOBODY ->
           announced[x] = false;
#if defined(BUG_DROP_AND_GO)
           break
#elif defined(BUG_DROP_AND_WAIT)
           skip
#else
           if
           :: owner[x] == NOBODY -> break
           :: owner[x] != NOBODY
           fi
#endif
       :: atomic { owner[x] != NOBODY -> to = owner[x] };
          push();
#ifdef BUG_ANNOUNCE_TO_OLD_OWNER
          atomic { true -> to = 0; break }
#else
          if
          :: atomic { owner[x] == to -> to = 0; break }
          :: atomic { owner[x] != to -> take_inbox(to); to = 0; break }
          fi
#endif
       fi
    od
}

/* Works off the inbox of `heap`, whose lock is held, until it is empty. */
inline drain(heap)
{
    do
    :: atomic { list == 0 && inbox[heap] == 0 -> x = 0; break }
    :: atomic {
           list != 0 || inbox[heap] != 0 ->
           if
           :: list == 0 -> take_inbox(heap)
           :: else
           fi;
#if defined(BUG_LINK_READ_LATE)
           x = list - 1;
           OFF_LIST(x)
       };
       list = inbox_next[x];
#elif defined(BUG_CLEAR_LATE)
           x = list - 1;
           list = inbox_next[x];
           unseen[x] = unseen[x] && owner[x] != heap
       };
       d_step { OFF_LIST(x) };
#else
           next_of_list()
       };
#endif
       if
       :: owner[x] != heap -> announce()
       :: atomic { owner[x] == heap && USED(x) == 0 -> release(x, heap) }
       :: atomic { owner[x] == heap && USED(x) != 0 -> LOOK }
       fi
    od
}

/* Step 4, of whoever brought `used` to 0. */
inline release_unused()
{
    do
    :: owner[c] == NOBODY -> break
    :: atomic { owner[c] != NOBODY -> own = owner[c] };
       atomic {
           TAKE(own);
#ifdef BUG_RELEASE_DRAINS_FIRST
       };
       drain(own);
       atomic {
#endif
           if
#ifdef BUG_RELEASE_WITHOUT_LOOK
           :: release(c, own)
#else
           :: owner[c] == own && USED(c) == 0 -> release(c, own)
           :: owner[c] == own && USED(c) != 0 -> skip
           :: owner[c] != own -> again = true
#endif
           fi
       };
       DRAIN_AFTER(own);
#ifdef BUG_NO_RETRY
       again = false;
#endif
       if
       :: atomic { !again -> UNLOCK(own); own = 0; break }
       :: atomic { again -> UNLOCK(own); own = 0; again = false }
       fi
    od
}

inline begin()
{
    w = hand[me] - 1;
    c = CHUNK_OF(w);
    left = mark[w];
    freeing[me] = true;
    operations++
}

/* Step 1. */
inline mark_free()
{
    hand[me] = 0;
    if
    :: left == USER ->
#ifdef DOUBLE
        assert(!freed[w]);
        freed[w] = true;
#endif
        mark[w] = FREE;
        between[c]++
    :: else
    fi
}

/* Step 2: counts, and only then looks what is left of `used`. */
#define COUNT(value) gone[c] = value; unseen[c] = true; between[c]--

proctype Freer(byte me)
{
    byte w, c, left, x, to, own, list, head, tail, i;
    bool again;
end:
    do
    :: hand[me] != 0 ->
#if defined(BUG_COUNT_FIRST)
       d_step { begin(); gone[c]++; left = gone[c]; unseen[c] = true };
       d_step { hand[me] = 0; mark[w] = FREE };
#elif defined(BUG_MARK_WITHOUT_SWAP)
       d_step { begin() };
       d_step { mark_free() };
#else
       d_step { begin(); mark_free() };
#endif
#ifndef BUG_COUNT_FIRST
       if
       :: left != USER -> goto done
       :: else
       fi;
#if defined(BUG_COUNT_IN_TWO)
       left = gone[c] + 1;
       d_step { COUNT(left) };
#elif defined(BUG_LOOK_BEFORE_COUNT)
       left = kept[c];
       d_step { COUNT(gone[c] + 1); left = left - gone[c] };
#else
       d_step { left = gone[c] + 1; COUNT(left) };
#endif
#endif
#ifdef BUG_LOOK_BEFORE_COUNT
       x = c;
#else
       d_step { left = kept[c] - left; x = c };
#endif
       announce();
       do
       :: list == 0 -> x = 0; break
       :: d_step { list != 0 -> next_of_list() }; announce()
       od;
#ifndef BUG_NO_RELEASE
       if
       :: left == 0 -> release_unused()
       :: else
       fi;
#endif
done:
       atomic { w = 0; c = 0; left = 0; freeing[me] = false; operations--; check_quiet() }
    od
}

/* A second free that comes after the block was handed out again is beyond detection: not modelled. */
#ifdef DOUBLE
#define STALE(w) (hand[0] == (w) + 1 || hand[1] == (w) + 1)
#else
#define STALE(w) false
#endif

/* Place + 1 of something free in a chunk of this heap, 0 if there is none. Whether it already was a hole or is swept now, perhaps before its
 * freer counts, makes no difference to others. */
inline find_free()
{
    w = 0;
    i = 0;
    do
    :: i == PLACES || w != 0 -> break
    :: else ->
        if
        :: owner[CHUNK_OF(i)] == me && mark[i] == FREE && !STALE(i) -> w = i + 1
        :: else
        fi;
        i++
    od;
    i = 0
}

#define IDLE(f) (hand[f] == 0 && !freeing[f])
#if FREERS == 1
#define ANY_IDLE IDLE(0)
#elif FREERS == 2
#define ANY_IDLE (IDLE(0) || IDLE(1))
#else
#define ANY_IDLE (IDLE(0) || IDLE(1) || IDLE(2))
#endif

/* The block goes to a user: one in this thread's bin, or a freer (they are alike, so the first idle one). */
inline hand_out()
{
    if
    :: bin == 0 -> bin = w + 1; mark[w] = CACHED
    :: IDLE(0) -> hand[0] = w + 1; mark[w] = USER
#if FREERS > 1
    :: !IDLE(0) && IDLE(1) -> hand[1] = w + 1; mark[w] = USER
#endif
#if FREERS > 2
    :: !IDLE(0) && !IDLE(1) && IDLE(2) -> hand[2] = w + 1; mark[w] = USER
#endif
#ifdef DOUBLE
    :: IDLE(0) && IDLE(1) -> hand[0] = w + 1; hand[1] = w + 1; mark[w] = USER
    :: bin == 0 && IDLE(0) -> bin = w + 1; hand[0] = w + 1; mark[w] = CACHED
#endif
    fi
}

/* A chunk from the page heap, with a descriptor as its last user left it; c is CHUNKS if there is none. */
inline make()
{
    atomic {
        !purging;
        if
        :: pooled[0] -> c = 0
#if CHUNKS > 1
        :: !pooled[0] && pooled[1] -> c = 1
#endif
        :: else -> c = CHUNKS
        fi;
        if
        :: c < CHUNKS -> pooled[c] = false
        :: else
        fi
    };
    if
    :: c < CHUNKS ->
        atomic {
            TAKE(me);
            assert(owner[c] == NOBODY && USED(c) == 0 && between[c] == 0);
#ifdef BUG_DESCRIPTOR_WIPED
            announced[c] = false;
            inbox_next[c] = 0;
#endif
            owner[c] = me;
            fresh[c] = true;
            UNLOCK(me)
        }
    :: else
    fi
}

#define NEXT_OF(heap) do :: c >= CHUNKS -> break :: c < CHUNKS && owner[c] == heap -> break :: else -> c++ od

/* Takes over chunks of a heap whose thread has ended. Its inbox is worked off before, so that empty chunks go, and once more after the owner was changed: who announced to the old owner before is
 * met here, who does later sees the new owner. */
inline adopt(other)
{
    atomic { TAKE(0) };
    if
    :: state[other] == ORPHAN ->
        atomic { TAKE(me); TAKE(other) };
        drain(other);
        atomic { c = 0; NEXT_OF(other) };
        do
        :: c == CHUNKS -> break
        :: c < CHUNKS ->
#ifdef BUG_OWNERLESS_ADOPTION
            owner[c] = NOBODY;
#endif
            owner[c] = me;
            atomic {
                unseen[c] = false;
                if
                :: c++
                :: c = CHUNKS
                fi;
                NEXT_OF(other)
            }
        od;
#ifndef BUG_ADOPTION_DRAINS_FIRST
        drain(other);
#endif
        atomic {
            UNLOCK(other);
            UNLOCK(me);
            c = 0;
            i = 0;
            do
            :: i == CHUNKS || owner[i] == other -> break
            :: else -> i++
            od;
            if
            :: i == CHUNKS -> state[other] = SPARE
            :: else
            fi;
            i = 0
        }
    :: else
    fi;
    atomic { UNLOCK(0) }
}

#define OTHER(n) ((me + n - 1) % HEAPS + 1)

inline allocate()
{
    do
    :: atomic {
           lock[me] == 0 && (bin == 0 || ANY_IDLE) -> find_free();
           if
           :: w != 0 -> w--; kept[CHUNK_OF(w)]++; fresh[CHUNK_OF(w)] = false; NOT_FREED(w); hand_out(); w = 0; break
           :: w == 0
#ifdef EAGER
           :: w = 0
#endif
           fi
       };
       if
       :: state[OTHER(1)] == ORPHAN -> adopt(OTHER(1))
#if HEAPS > 2
       :: state[OTHER(2)] == ORPHAN -> adopt(OTHER(2))
#endif
       :: else ->
           make();
           if
           :: c == CHUNKS -> c = 0; break
           :: else -> c = 0
           fi
       fi
    od
}

/* The block in the bin goes back to its chunk, which goes with its last block. */
inline flush()
{
    atomic {
        c = CHUNK_OF(bin - 1);
        assert(owner[c] == me && mark[bin - 1] == CACHED);
        mark[bin - 1] = FREE;
        bin = 0;
#ifdef BUG_FLUSH_LOOKS_FIRST
        x = kept[c] - 1 - gone[c]
    };
    atomic { kept[c]-- };
#else
        kept[c]--
    };
    x = USED(c);
#endif
    if
    :: atomic { x != 0 -> x = 0; c = 0 }
    :: atomic { x == 0 -> release(c, me); c = 0 }; DRAIN_AFTER(me)
    fi
}

proctype Thread(byte me; byte allocs; byte exits)
{
    byte w, c, x, to, list, head, tail, i, bin;
    byte drains = DRAINS;
end:
    do
    :: atomic { state[me] == LIVE && allocs > 0 && (bin == 0 || ANY_IDLE) -> allocs--; operations++ };
       allocate();
       END
    :: atomic { state[me] == LIVE && bin != 0 && lock[me] == 0 -> TAKE(me); operations++ };
       flush();
       atomic { UNLOCK(me); operations--; check_quiet() }
    :: atomic { state[me] == LIVE && drains > 0 && inbox[me] != 0 && lock[me] == 0 -> TAKE(me); drains--; operations++ };
       drain(me);
       atomic { UNLOCK(me); operations--; check_quiet() }
    :: atomic { state[me] == LIVE && exits > 0 && bin == 0 && lock[0] == 0 -> exits--; state[me] = ORPHAN }
    :: atomic { state[me] != LIVE && allocs > 0 && lock[0] == 0 -> state[me] = LIVE }
    od
}

/* Gives the memory of an unused descriptor back: it reads as zero then. A freer may hold `announced` there and believe in it, so the flag
 * is taken from all others before. */
proctype Purger()
{
    byte c, i;
    byte purges = PURGES;
    bool old;
end:
    do
    :: atomic {
           purges > 0 && (pooled[0] || pooled[CHUNKS - 1]) ->
           purges--;
           operations++;
           if
           :: pooled[0] -> c = 0
           :: pooled[CHUNKS - 1] -> c = CHUNKS - 1
           fi;
           purging = true;
           old = announced[c];
#ifndef BUG_PURGE_ONLY_LOOKS
           announced[c] = true
#endif
       };
       atomic {
           if
           :: !old -> announced[c] = false; inbox_next[c] = 0; kept[c] = 0; gone[c] = 0
           :: else
           fi;
           old = false;
           c = 0;
           purging = false;
           operations--;
           check_quiet()
       }
    od
}

/* Heap 1 starts with a chunk, or two, whose blocks are with the first freers. */
init
{
    byte i;
    byte allocs[HEAPS] = { ALLOCS };
    byte exits[HEAPS] = { EXITS };
    atomic {
        for (i : 0 .. CHUNKS - 1) {
            pooled[i] = (i > SPREAD);
            owner[i] = (i > SPREAD -> NOBODY : 1)
        }
        for (i : 0 .. START - 1) {
            mark[PLACE(i)] = USER;
            kept[CHUNK_OF(PLACE(i))]++;
            hand[i] = PLACE(i) + 1
        }
        for (i : 1 .. HEAPS) {
            state[i] = LIVE;
            run Thread(i, allocs[i - 1], exits[i - 1])
        }
        for (i : 0 .. FREERS - 1) {
            run Freer(i)
        }
#if PURGES
        run Purger();
#endif
        i = 0
    }
}
