/* A page heap of its own for each test of a suite, and descriptors to hand out: TestSuite(name, .init = setup, .fini = teardown). */
#ifndef HM_TESTS_SUPPORT_PAGE_SUITE_H
#define HM_TESTS_SUPPORT_PAGE_SUITE_H

#include "support/page_fixture.h"

static struct fixture *f;
static struct span a, b;
__attribute__((unused)) static struct span c, d;

static void setup(void)
{
    f = fixture_make(&fixture_options, 0, 0);
}

static void teardown(void)
{
    fixture_drop(f);
}

#endif
