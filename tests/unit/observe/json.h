/* A strict reader for the JSON that the report may consist of: objects, arrays, strings without escapes, unsigned numbers. */
#ifndef HM_TESTS_UNIT_OBSERVE_JSON_H
#define HM_TESTS_UNIT_OBSERVE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Skips one value; NULL if there is none at `at`. */
static inline const char *json_skip(const char *at);

static inline const char *json_skip_string(const char *at)
{
    if (*at++ != '"') {
        return NULL;
    }
    while (*at != '"') {
        if (*at < ' ' || *at == '\\') {
            return NULL;
        }
        at++;
    }
    return at + 1;
}

static inline const char *json_skip_number(const char *at)
{
    size_t digits = strspn(at, "0123456789");
    return digits == 0 || (digits > 1 && *at == '0') ? NULL : at + digits;
}

static inline const char *json_skip_member(const char *at, bool object)
{
    if (object) {
        at = json_skip_string(at);
        if (at == NULL || *at++ != ':') {
            return NULL;
        }
    }
    return json_skip(at);
}

static inline const char *json_skip(const char *at)
{
    if (*at == '"') {
        return json_skip_string(at);
    }
    if (*at != '{' && *at != '[') {
        return json_skip_number(at);
    }
    bool object = *at == '{';
    char end = object ? '}' : ']';
    if (*++at == end) {
        return at + 1;
    }
    while ((at = json_skip_member(at, object)) != NULL && *at == ',') {
        at++;
    }
    return at != NULL && *at == end ? at + 1 : NULL;
}

/* The value of a member of the object at `at`; NULL if it has none or more than one of that name. */
static inline const char *json_member(const char *at, const char *name)
{
    size_t len = strlen(name);
    const char *found = NULL;
    while (at != NULL && (*at == '{' || *at == ',')) {
        const char *key = at + 1;
        const char *value = json_skip_string(key) + 1;
        if (strncmp(key + 1, name, len) == 0 && key[1 + len] == '"') {
            if (found != NULL) {
                return NULL;
            }
            found = value;
        }
        at = json_skip(value);
    }
    return found;
}

/* UINT64_MAX: no such number. */
static inline uint64_t json_number_at(const char *object, const char *name)
{
    const char *at = object == NULL ? NULL : json_member(object, name);
    if (at == NULL || json_skip_number(at) == NULL) {
        return UINT64_MAX;
    }
    uint64_t number = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        number = number * 10 + (uint64_t)(*at - '0');
    }
    return number;
}

/* True if `text` is one value and a line end. */
static inline bool json_whole(const char *text)
{
    const char *end = json_skip(text);
    return end != NULL && strcmp(end, "\n") == 0;
}

#endif
