/* The remote free protocol of src/heap/remote.h, for exhaustive search.
 *
 * Every access to a word that several threads use is one statement of its own; what is done under a lock and seen only
 * under that lock is joined. A BUG_ macro breaks one rule of the protocol; the search must then find an error (tests/protocol/run).
 * Sizes and budgets come from the scenario (-D): they bound what the threads do, not how their steps interleave. */

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
#define ALLOCS 2, 2 /* blocks that each thread may allocate, */
#endif
#ifndef DRAINS
#define DRAINS 1 /* times each thread may look into its inbox, */
#endif
#ifndef EXITS
#define EXITS 0, 0 /* times it may end, a new thread taking its heap later */
#endif

#define NOBODY 0
#define PLACES (CHUNKS * WINDOWS)
#define CHUNK_OF(w) ((w) / WINDOWS)

/* A map byte. */
#define DEAD   0
#define HOLE   1
#define CACHED 2
#define USER   3

#define SPARE  0
#define LIVE   1
#define ORPHAN 2

/* The allocator's words. Heaps are numbered from 1; a chunk on a list is its number + 1. */
byte mark[PLACES];
byte owner[CHUNKS];
byte used[CHUNKS];
bool announced[CHUNKS];
byte inbox_next[CHUNKS];
bool pooled[CHUNKS];
byte inbox[HEAPS + 1];
byte state[HEAPS + 1];
byte lock[HEAPS + 1]; /* [0]: the registry's */

/* Who has which block: place + 1, as freers get it from the threads that allocate. */
byte hand[FREERS];
bool freeing[FREERS];

/* For the properties alone. */
byte between[CHUNKS];  /* freers between mark and subtract */
bool unseen[CHUNKS];   /* granules were freed remotely since the owner last read `used` */
byte on_list[CHUNKS];  /* the inbox it is linked in; LISTED + heap: in the hands of who took that inbox */
byte operations;       /* under way */
bool freed[PLACES];    /* this block was taken from its user */
#define LISTED 16

#define TAKE(l)    atomic { lock[l] == 0 -> lock[l] = _pid + 1 }
#define UNLOCK(l)  atomic { assert(lock[l] == _pid + 1); lock[l] = 0 }

/* What must hold whenever nobody is inside an operation. */
inline check_quiet()
{
    if
    :: operations == 0 ->
        i = 0;
        do
        :: i == CHUNKS -> break
        :: else ->
            assert(owner[i] == NOBODY || used[i] != 0);
            assert(between[i] == 0);
            assert(pooled[i] == (owner[i] == NOBODY));
            assert(announced[i] == (on_list[i] != 0));
            assert(on_list[i] < LISTED);
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


/* The chunk goes back to the page heap; `heap`'s lock is held. */
inline release(x, heap)
{
    d_step {
        assert(lock[heap] == _pid + 1);
        assert(owner[x] == heap && !pooled[x]);
        assert(used[x] == 0);
        assert(between[x] == 0);
        i = 0;
        do
        :: i == WINDOWS -> break
        :: else ->
            assert(mark[x * WINDOWS + i] == DEAD || mark[x * WINDOWS + i] == HOLE);
            mark[x * WINDOWS + i] = DEAD;
            i++
        od;
        i = 0;
        unseen[x] = false;
        owner[x] = NOBODY
    };
    d_step { assert(!pooled[x]); pooled[x] = true }
}

/* Links `x` into the inbox of `to`. */
inline push()
{
    do
    :: head = inbox[to];
       d_step { assert(on_list[x] == 0); inbox_next[x] = head };
#ifdef BUG_PUSH_WITHOUT_SWAP
       d_step { inbox[to] = x + 1; on_list[x] = to };
       head = 0;
       break
#else
       atomic {
           if
           :: inbox[to] == head -> inbox[to] = x + 1; on_list[x] = to; head = 0; break
           :: else -> head = 0
           fi
       }
#endif
    od
}

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
            assert(on_list[tail - 1] == heap);
            on_list[tail - 1] = LISTED + heap;
            i++;
            assert(i <= CHUNKS);
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

/* Unlinks the first chunk of the private list to `x`: the link is read before anybody may link the chunk again. */
inline next_of_list()
{
    x = list - 1;
#ifdef BUG_LINK_READ_LATE
    d_step { on_list[x] = 0; announced[x] = false };
    list = inbox_next[x]
#else
    list = inbox_next[x];
    d_step { assert(on_list[x] >= LISTED); on_list[x] = 0; announced[x] = false }
#endif
}

/* Step 3, and what the owner does with a chunk that isn't its own. If the chunk's owner changed meanwhile, it lies in an inbox that perhaps
 * nobody looks into again: that inbox is taken and all of it goes to `list`, to be announced anew. */
inline announce()
{
    do
    :: atomic { announced[x] -> break }
    :: atomic { !announced[x] -> announced[x] = true };
       to = owner[x];
       if
       :: to == NOBODY ->
           announced[x] = false;
#ifdef BUG_DROP_WITHOUT_LOOK
           break
#else
           if
           :: owner[x] == NOBODY -> break
           :: else
           fi
#endif
       :: else ->
           push();
#ifdef BUG_NO_REDIRECT
           break
#else
           if
           :: owner[x] == to -> break
           :: else -> take_inbox(to); break
           fi
#endif
       fi
    od;
    to = 0
}

inline announce_all()
{
    announce();
    do
    :: list == 0 -> break
    :: else -> next_of_list(); announce()
    od;
    x = 0
}

/* The lock of `heap` is held. */
inline drain(heap)
{
    take_inbox(heap);
    do
    :: list == 0 -> break
    :: else ->
#ifdef BUG_CLEAR_LATE
        x = list - 1;
        list = inbox_next[x];
        left = used[x];
        d_step { if :: owner[x] == heap -> unseen[x] = false :: else fi };
        d_step { on_list[x] = 0; announced[x] = false };
        if
        :: owner[x] == heap -> if :: left == 0 && used[x] == 0 -> release(x, heap) :: else fi
        :: else -> announce()
        fi;
        left = 0
#else
        next_of_list();
        if
        :: owner[x] == heap ->
            if
            :: atomic { used[x] != 0 -> unseen[x] = false }
            :: used[x] == 0 -> release(x, heap)
            fi
        :: else -> announce()
        fi
#endif
    od;
    x = 0
}

/* Step 4, for whoever brought `used` to 0. The owner's inbox is worked off too: a chunk that goes must not stay in the inbox of a heap whose
 * thread sleeps, or nobody would hear of the remote frees in what is made of its descriptor next. */
inline release_unused(c)
{
    do
    :: own = owner[c];
       if
       :: own == NOBODY -> break
       :: else ->
           TAKE(own);
#ifndef BUG_NO_DRAIN_AT_RELEASE
           drain(own);
#endif
           if
#ifdef BUG_RELEASE_WITHOUT_LOOK
           :: true -> release(c, own); UNLOCK(own); break
#else
           :: owner[c] == own && used[c] == 0 -> release(c, own); UNLOCK(own); break
           :: owner[c] == own && used[c] != 0 -> UNLOCK(own); break
           :: owner[c] != own ->
               UNLOCK(own);
#ifdef BUG_NO_RETRY
               break
#endif
#endif
           fi
       fi
    od;
    own = 0
}

inline begin()
{
    operations++;
    freeing[me] = true
}

/* Steps 1 and 2 of a free, as far as the first. */
inline mark_dead()
{
    hand[me] = 0;
    if
    :: left == USER ->
        assert(!freed[w]);
        freed[w] = true;
        mark[w] = DEAD;
        between[c]++
    :: else
    fi
}

proctype Freer(byte me)
{
    byte w, c, x, to, own, left, list, head, tail, i;
end:
    do
    :: hand[me] != 0 ->
#ifdef BUG_SUBTRACT_FIRST
       d_step { w = hand[me] - 1; c = CHUNK_OF(w); begin(); used[c]--; left = used[c] };
       d_step { hand[me] = 0; assert(mark[w] == USER); mark[w] = DEAD; unseen[c] = true };
#else
#ifdef BUG_MARK_WITHOUT_SWAP
       d_step { w = hand[me] - 1; c = CHUNK_OF(w); begin(); left = mark[w] };
#else
       d_step { w = hand[me] - 1; c = CHUNK_OF(w); begin(); left = mark[w]; mark_dead() };
#endif
       if
       :: left != USER -> hand[me] = 0; goto done
       :: else
       fi;
#ifdef BUG_MARK_WITHOUT_SWAP
       d_step { mark_dead() };
#endif
#ifdef BUG_SUBTRACT_IN_TWO
       left = used[c] - 1;
       d_step { used[c] = left; unseen[c] = true; between[c]-- };
#else
       d_step { used[c]--; left = used[c]; unseen[c] = true; between[c]-- };
#endif
#endif
       x = c;
       announce_all();
#ifndef BUG_NO_RELEASE
       if
       :: left == 0 -> release_unused(c)
       :: else
       fi;
#endif
done:
       atomic { w = 0; c = 0; left = 0; freeing[me] = false; operations--; check_quiet() }
    od
}

/* A second free of the same block that comes after the block was handed out again is nobody's to detect: not modelled. */
#ifdef DOUBLE
#define STALE(w) (hand[0] == (w) + 1 || hand[1] == (w) + 1)
#else
#define STALE(w) false
#endif

/* A hole in one of the chunks of `me`, or a dead place: place + 1 to `w`, 0 if there is none. */
inline find(what)
{
    w = 0;
    i = 0;
    do
    :: i == PLACES -> break
    :: i < PLACES ->
        if
        :: owner[CHUNK_OF(i)] == me && mark[i] == what && w == 0 && !STALE(i) -> w = i + 1
        :: else
        fi;
        i++
    od;
    i = 0
}

/* Everything free in the chunk becomes holes, also what a freer has marked and not yet subtracted. */
inline sweep(c)
{
    i = 0;
    do
    :: i == WINDOWS -> break
    :: else ->
        if
        :: mark[c * WINDOWS + i] == DEAD -> mark[c * WINDOWS + i] = HOLE
        :: else
        fi;
        i++
    od;
    i = 0
}

/* A chunk from the page heap, with a descriptor as its last user left it; c is CHUNKS if there is none. */
inline make()
{
    atomic {
        if
        :: pooled[0] -> c = 0
#if CHUNKS > 1
        :: pooled[1] -> c = 1
#endif
#if CHUNKS > 2
        :: pooled[2] -> c = 2
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
#ifdef BUG_DESCRIPTOR_WIPED
        d_step { announced[c] = false; inbox_next[c] = 0 };
#endif
        TAKE(me);
        d_step {
            assert(owner[c] == NOBODY && used[c] == 0 && between[c] == 0);
            owner[c] = me;
            sweep(c)
        };
        UNLOCK(me)
    :: else
    fi
}

/* One chunk of the other heap, if its thread has ended; the whole of it if that was the last. */
inline adopt(other)
{
    TAKE(0);
    if
    :: state[other] == ORPHAN ->
        TAKE(me);
        TAKE(other);
#ifndef BUG_ADOPT_WITHOUT_DRAIN
        drain(other);
#endif
        c = 0;
        do
        :: c == CHUNKS -> break
        :: c < CHUNKS && owner[c] == other ->
#ifdef BUG_OWNERLESS_ADOPTION
            owner[c] = NOBODY;
#endif
            owner[c] = me;
            d_step { sweep(c); unseen[c] = false };
            if
            :: c++
            :: c = CHUNKS
            fi
        :: c < CHUNKS && owner[c] != other -> c++
        od;
        atomic {
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
        };
        UNLOCK(other);
        UNLOCK(me)
    :: else
    fi;
    UNLOCK(0)
}

/* The block at place `w` goes to a user: the thread keeps it in its bin, or a freer has it. */
inline hand_out()
{
    atomic {
        if
        :: bin == 0 -> bin = w + 1
        :: hand[0] == 0 && !freeing[0] -> mark[w] = USER; hand[0] = w + 1
#if FREERS > 1
        :: (hand[0] != 0 || freeing[0]) && hand[1] == 0 && !freeing[1] -> mark[w] = USER; hand[1] = w + 1
#endif
#if FREERS > 2
        :: (hand[0] != 0 || freeing[0]) && (hand[1] != 0 || freeing[1]) && hand[2] == 0 && !freeing[2] ->
            mark[w] = USER;
            hand[2] = w + 1
#endif
#ifdef DOUBLE
        :: hand[0] == 0 && !freeing[0] && hand[1] == 0 && !freeing[1] ->
            mark[w] = USER;
            hand[0] = w + 1;
            hand[1] = w + 1
#endif
        fi;
        w = 0
    }
}

inline allocate()
{
    do
    :: TAKE(me);
       d_step { find(HOLE) };
       if
       :: w != 0 ->
           w--;
           d_step { assert(mark[w] == HOLE); mark[w] = CACHED; freed[w] = false };
           used[CHUNK_OF(w)]++;
           UNLOCK(me);
           hand_out();
           break
       :: else ->
           d_step { find(DEAD) };
           if
           :: w != 0 -> d_step { c = CHUNK_OF(w - 1); sweep(c); c = 0; w = 0 }; UNLOCK(me)
           :: true ->
               w = 0;
               UNLOCK(me);
               if
               :: state[me % HEAPS + 1] == ORPHAN -> adopt(me % HEAPS + 1)
#if HEAPS > 2
               :: state[(me + 1) % HEAPS + 1] == ORPHAN -> adopt((me + 1) % HEAPS + 1)
#endif
               :: else ->
                   make();
                   if
                   :: c == CHUNKS -> c = 0; break
                   :: else -> c = 0
                   fi
               fi
           fi
       fi
    od
}

#define IDLE(f) (hand[f] == 0 && !freeing[f])
#if FREERS > 2
#define ANY_IDLE (IDLE(0) || IDLE(1) || IDLE(2))
#elif FREERS > 1
#define ANY_IDLE (IDLE(0) || IDLE(1))
#else
#define ANY_IDLE IDLE(0)
#endif

/* A block in the bin goes back to its chunk, which goes with its last block. */
inline flush()
{
    TAKE(me);
    d_step { c = CHUNK_OF(bin - 1); assert(owner[c] == me && mark[bin - 1] == CACHED); mark[bin - 1] = DEAD; bin = 0 };
    d_step { used[c]--; left = used[c] };
    if
    :: left == 0 -> release(c, me)
    :: else
    fi;
    left = 0;
    c = 0;
    UNLOCK(me)
}

proctype Thread(byte me; byte allocs; byte exits)
{
    byte w, c, x, to, left, list, head, tail, i, bin;
    byte drains = DRAINS;
end:
    do
    :: atomic { state[me] == LIVE && allocs > 0 && (bin == 0 || ANY_IDLE) -> allocs--; operations++ };
       allocate();
       atomic { operations--; check_quiet() }
    :: atomic { state[me] == LIVE && bin != 0 -> operations++ };
       flush();
       atomic { operations--; check_quiet() }
    :: atomic { state[me] == LIVE && drains > 0 && inbox[me] != 0 -> drains--; operations++ };
       TAKE(me);
       drain(me);
       UNLOCK(me);
       atomic { operations--; check_quiet() }
    :: atomic { state[me] == LIVE && exits > 0 && bin == 0 -> exits--; operations++ };
       TAKE(0);
       state[me] = ORPHAN;
       UNLOCK(0);
       atomic { operations--; check_quiet() }
    :: atomic { state[me] != LIVE && allocs > 0 -> operations++ };
       TAKE(0);
       state[me] = LIVE;
       UNLOCK(0);
       atomic { operations--; check_quiet() }
    od
}

init
{
    byte i;
    byte allocs[HEAPS + 1] = { 0, ALLOCS };
    byte exits[HEAPS + 1] = { 0, EXITS };
    atomic {
        for (i : 0 .. CHUNKS - 1) {
            pooled[i] = true
        }
        for (i : 1 .. HEAPS) {
            state[i] = LIVE;
            run Thread(i, allocs[i], exits[i])
        }
        for (i : 0 .. FREERS - 1) {
            run Freer(i)
        }
    }
}
