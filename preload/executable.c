#define _GNU_SOURCE 1

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <sys/auxv.h>

#include "base/text.h"
#include "preload/passive.h"

/* The dynamic symbol table of the main executable, read where the kernel mapped it: the dynamic linker's
 * functions take locks, and may not be usable yet. */
struct image {
    uintptr_t bias;
    const ElfW(Dyn) * dynamic;
    const ElfW(Sym) * symbols;
    const char *names;
    const uint32_t *gnu_hash;
    const ElfW(Word) * sysv_hash;
};

static bool find_dynamic(struct image *image)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    size_t count = headers == NULL ? 0 : getauxval(AT_PHNUM);
    const ElfW(Phdr) *dynamic = NULL;
    bool placed = false;
    for (size_t i = 0; i < count; i++) {
        if (headers[i].p_type == PT_PHDR) {
            image->bias = (uintptr_t)headers - headers[i].p_vaddr;
            placed = true;
        } else if (headers[i].p_type == PT_DYNAMIC) {
            dynamic = &headers[i];
        }
    }
    if (!placed || dynamic == NULL) {
        return false;
    }
    image->dynamic = (const ElfW(Dyn) *)(image->bias + dynamic->p_vaddr);
    return true;
}

/* Some dynamic linkers have put absolute addresses into the section by now, others leave it as it is in the
 * file. */
static const void *address_of(const struct image *image, ElfW(Addr) address)
{
    return (const void *)(address < image->bias ? image->bias + address : address);
}

static bool read_dynamic(struct image *image)
{
    for (const ElfW(Dyn) *entry = image->dynamic; entry->d_tag != DT_NULL; entry++) {
        switch (entry->d_tag) {
        case DT_SYMTAB:
            image->symbols = address_of(image, entry->d_un.d_ptr);
            break;
        case DT_STRTAB:
            image->names = address_of(image, entry->d_un.d_ptr);
            break;
        case DT_GNU_HASH:
            image->gnu_hash = address_of(image, entry->d_un.d_ptr);
            break;
        case DT_HASH:
            image->sysv_hash = address_of(image, entry->d_un.d_ptr);
            break;
        default:
            break;
        }
    }
    return image->symbols != NULL && image->names != NULL;
}

/* An undefined function may have an address too: that of its PLT entry, where the executable takes pointers
 * to it. */
static bool defines(const struct image *image, uint32_t index, const char *name)
{
    const ElfW(Sym) *symbol = &image->symbols[index];
    return symbol->st_shndx != SHN_UNDEF && text_equal(image->names + symbol->st_name, name);
}

static bool look_up_gnu(const struct image *image, const char *name)
{
    uint32_t hash = 5381;
    for (const char *c = name; *c != 0; c++) {
        hash = hash * 33 + (unsigned char)*c;
    }
    const uint32_t *table = image->gnu_hash;
    uint32_t buckets = table[0];
    uint32_t first = table[1];
    uint32_t filter_words = table[2];
    const uint32_t *bucket = table + 4 + filter_words * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    const uint32_t *chain = bucket + buckets;
    uint32_t index = buckets == 0 ? 0 : bucket[hash % buckets];
    if (index < first) {
        return false;
    }
    for (;; index++) {
        uint32_t found = chain[index - first];
        if ((found | 1) == (hash | 1) && defines(image, index, name)) {
            return true;
        }
        if ((found & 1) != 0) {
            return false;
        }
    }
}

/* The second word is the number of symbols: the few names are looked for one by one. */
static bool look_up_all(const struct image *image, const char *name)
{
    for (uint32_t index = 0; index < image->sysv_hash[1]; index++) {
        if (defines(image, index, name)) {
            return true;
        }
    }
    return false;
}

bool executable_has_malloc(void)
{
    static const char *const names[] = {"malloc", "free", "calloc", "realloc"};
    struct image image = {.bias = 0};
    int saved = errno;
    bool readable = find_dynamic(&image) && read_dynamic(&image);
    errno = saved;
    bool found = false;
    for (size_t i = 0; readable && !found && i < sizeof(names) / sizeof(names[0]); i++) {
        found = image.gnu_hash != NULL ? look_up_gnu(&image, names[i])
                                       : image.sysv_hash != NULL && look_up_all(&image, names[i]);
    }
    return found;
}
