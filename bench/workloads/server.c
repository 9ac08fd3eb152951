/* server THREADS REQUESTS: each thread serves REQUESTS requests. A request makes a dozen short-lived blocks, and
 * one in four replaces a session (a header, a name, a buffer) of 20,000 that the thread keeps; half of the
 * replaced ones are handed to the next thread, which frees them.
 *
 * What a server with worker threads does all day: much that is short-lived, a large live set that turns over
 * slowly, and frees that come from other threads. Memory must neither creep up nor pile up at one thread. */
#include "support/threads.h"

enum { SESSIONS = 20000, TEMPORARIES = 12, HEADER = 96 };

struct session {
    struct session *mail; /* the mailbox's link, while it is there */
    char *name, *buffer;
    size_t name_size, buffer_size;
};

static size_t threads, requests;
static struct session **tables[THREADS_MOST];
static struct mailbox mailboxes[THREADS_MOST];

static struct session *open_session(uint64_t *seed)
{
    struct session *session = bench_filled(HEADER);
    session->name_size = bench_size(seed, 16, 80);
    session->buffer_size = bench_size(seed, 200, 3000);
    session->name = bench_filled(session->name_size);
    session->buffer = bench_filled(session->buffer_size);
    return session;
}

/* The parts go through the mailbox one by one: it frees what it is given. */
static void close_session(struct session *session, struct mailbox *other)
{
    if (other == NULL) {
        free(session->buffer);
        free(session->name);
        free(session);
    } else {
        mailbox_put(other, session->buffer);
        mailbox_put(other, session->name);
        mailbox_put(other, session);
    }
}

static void serve(uint64_t *seed)
{
    void *blocks[TEMPORARIES];
    for (size_t i = 0; i < TEMPORARIES; i++)
        blocks[i] = bench_block(bench_size(seed, 16, i == 0 ? 16000 : 600));
    for (size_t i = 0; i < TEMPORARIES; i++)
        free(blocks[i]);
}

static void work(size_t number)
{
    uint64_t seed = number + 1;
    struct session **table = tables[number];
    for (size_t i = 0; i < SESSIONS; i++)
        table[i] = open_session(&seed);
    for (size_t i = 0; i < requests; i++) {
        serve(&seed);
        if (i % 4 == 0) {
            size_t place = bench_below(&seed, SESSIONS);
            close_session(table[place], i % 8 == 0 ? &mailboxes[(number + 1) % threads] : NULL);
            table[place] = open_session(&seed);
        }
        if (i % 64 == 0)
            mailbox_free_all(&mailboxes[number]);
    }
}

static size_t close_half(void)
{
    size_t live = 0;
    for (size_t t = 0; t < threads; t++) {
        mailbox_free_all(&mailboxes[t]);
        for (size_t i = 0; i < SESSIONS; i++) {
            struct session *session = tables[t][i];
            if (i % 2 == 0)
                close_session(session, NULL);
            else
                live += HEADER + session->name_size + session->buffer_size;
        }
    }
    return live;
}

int main(int argc, char **argv)
{
    threads = bench_number(argc, argv, 1);
    requests = bench_number(argc, argv, 2);
    for (size_t i = 0; i < threads && i < THREADS_MOST; i++)
        tables[i] = bench_table(SESSIONS * sizeof(struct session *));
    bench_start();
    threads_run(threads, work);
    bench_stop();
    bench_settle(close_half());
    return 0;
}
