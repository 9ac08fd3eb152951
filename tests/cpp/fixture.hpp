// Heaps of both kinds in which everything moves all the time.
#ifndef HM_TESTS_CPP_FIXTURE_HPP
#define HM_TESTS_CPP_FIXTURE_HPP

#include <criterion/criterion.h>
#include <hmalloc/handle.hpp>

#include <cstdlib>
#include <string>
#include <vector>

// Blocks that come and go between those of the test, so that compaction has a reason to move these.
class stirred
{
  public:
    stirred(hm_heap *heap, std::size_t junk, std::size_t bytes)
        : heap_(heap), junk_(junk, nullptr), bytes_(bytes)
    {
        refill();
    }
    virtual ~stirred()
    {
        for (void *&slot : junk_) {
            hm_slot_free(heap_, &slot);
        }
        hm_movable_verify(heap_);
    }
    hm_heap *heap() const
    {
        return heap_;
    }
    void refill()
    {
        for (void *&slot : junk_) {
            if (slot == nullptr) {
                cr_assert(hm_slot_alloc(heap_, &slot, 1 + next() % bytes_));
            }
        }
    }

    // Frees most of the junk, compacts, and fills up again.
    virtual void stir()
    {
        for (void *&slot : junk_) {
            if (next() % 4 != 0) {
                hm_slot_free(heap_, &slot);
            }
        }
        for (int i = 0; i < 10 && !hm_compact(heap_, {0, 0}).done; i++) {
        }
        refill();
    }
    std::size_t moved() const
    {
        hm_movable_stats stats;
        hm_movable_stats_get(heap_, &stats, sizeof stats);
        return stats.moved_blocks;
    }

  private:
    unsigned next()
    {
        seed_ = seed_ * 1103515245 + 12345;
        return seed_ >> 8;
    }
    hm_heap *heap_;
    std::vector<void *> junk_;
    std::size_t bytes_;
    unsigned seed_ = 1;
};

constexpr std::size_t buffer_bytes = 1 << 19;
alignas(16) static char buffer_memory[buffer_bytes];

// The same where the memory that a call needs is free in pieces of 16 bytes below all that the test has: the call itself moves
// everything. When the pieces are used up it is like the others.
class tight : public stirred
{
  public:
    explicit tight(hm_heap *heap) : stirred(heap, 20, 1000), low_(pieces, nullptr)
    {
        cr_assert(hm_slot_alloc_array(heap, low_.data(), pieces, 16));
    }
    ~tight() override
    {
        hm_slot_free(heap(), &plug_);
        for (void *&slot : low_) {
            hm_slot_free(heap(), &slot);
        }
    }
    void stir() override
    {
        hm_slot_free(heap(), &plug_);
        if (next_ >= pieces) {
            stirred::stir();
            return;
        }
        for (std::size_t i = 0; i < 400; i += 2) {
            hm_slot_free(heap(), &low_[next_ + i]);
        }
        next_ += 400;
        hm_movable_stats stats;
        hm_movable_stats_get(heap(), &stats, sizeof stats);
        hm_slot_alloc(heap(), &plug_, stats.largest_free / 16 * 16);
    }

  private:
    static constexpr std::size_t pieces = 8000;
    std::vector<void *> low_;
    std::size_t next_ = 0;
    void *plug_ = nullptr;
};

// What is read where a block was before would be zeros.
inline hm_movable_options wiping_options()
{
    hm_movable_options options = hm_movable_options();
    options.flags = HM_MOVABLE_ZERO_ON_FREE;
    return options;
}
static const hm_movable_options wiping = wiping_options();

// Tests with one body, which gets `heap`.
#define ON_BOTH_KINDS(name)                                                                                  \
    static void name(stirred &heap);                                                                         \
    Test(cpp, name##_in_a_heap_that_grows)                                                                   \
    {                                                                                                        \
        hm::heap heap(wiping);                                                                               \
        stirred with_junk(heap, 4000, 1500);                                                                 \
        name(with_junk);                                                                                     \
        cr_assert_gt(with_junk.moved(), 0);                                                                  \
    }                                                                                                        \
    Test(cpp, name##_in_a_buffer)                                                                            \
    {                                                                                                        \
        hm::heap heap(buffer_memory, buffer_bytes / 2, wiping);                                              \
        stirred with_junk(heap, 50, 2000);                                                                   \
        name(with_junk);                                                                                     \
        cr_assert_gt(with_junk.moved(), 0);                                                                  \
    }                                                                                                        \
    Test(cpp, name##_in_a_tight_buffer)                                                                      \
    {                                                                                                        \
        hm::heap heap(buffer_memory, buffer_bytes, wiping);                                                  \
        tight with_junk(heap);                                                                               \
        name(with_junk);                                                                                     \
    }                                                                                                        \
    static void name(stirred &heap)

#endif
