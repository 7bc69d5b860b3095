// Reads DWARF by libdw, one sorted pass for all addresses of a file: compilation units that are hit, in them
// the functions that are hit, in those the inlined calls around each address. Gives what `addr2line -i`
// gives.
//
// libdw's own address lookups need .debug_aranges (which clang does not write) and walk a unit's tree again
// for every address; with sorted addresses a unit's tree is walked once, and only into what contains one of
// them.
#include "resolve/elf.h"

#include "base/search.h"
#include "profile/bounds.h"
#include "resolve/entries.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>

// One enclosing scope of a query: an inlined call or the function itself. Lists run from the inside out.
struct scope {
    Dwarf_Die die;
    uint32_t outer; // HT_NONE: none
    uint32_t depth; // 1: the function itself
};

struct pass {
    struct ht_elf *module;
    struct ht_query *queries; // unit by unit, sorted by address in each
    uint64_t bias;            // query address = DWARF address + bias
    uint64_t unit_bias;       // the same for addresses of functions in the unit at hand
    size_t first, end;        // the queries inside the unit at hand
    Dwarf_Die unit, lines;    // the unit at hand, and where its line table is
    bool has_lines;
    struct ht_entries entries;
    const char *folder;                // the unit's compilation directory, NULL: unknown
    const char *last_name, *last_path; // the last file name and what it became
    bool visit_all;                    // also into classes and functions that contain none of the addresses
    uint32_t *innermost;               // by query: scope, HT_NONE: none yet
    struct scope *scopes;
    size_t scope_count, scope_capacity;
};

// A compilation unit that contains queries.
struct unit {
    Dwarf_Die die;   // with the functions
    Dwarf_Die lines; // with the line table
    bool has_lines;  // false: without the functions, one that was inlined could pass for another
    uint64_t base;   // what addresses of functions count from
    const char *folder;
    size_t query_count;
};

static void forget_scopes(struct pass *pass)
{
    pass->scope_count = 0;
    for (size_t i = pass->first; i < pass->end; i++)
        pass->innermost[i] = HT_NONE;
}

enum { SCOPES_LIMIT = 1 << 23 }; // at one time
enum { RANGE_STEPS = 16 };       // what a range costs that libdw reads

enum scope_kind { NO_SCOPE, INLINED_SCOPE, FUNCTION_SCOPE };

// A query gets the die as its innermost scope. Each has scopes of its own.
static void enter(struct pass *pass, size_t query, const Dwarf_Die *die, enum scope_kind kind)
{
    uint32_t known = pass->innermost[query], place = (uint32_t)pass->scope_count;
    uint32_t outer = kind == FUNCTION_SCOPE ? HT_NONE : known;
    uint32_t depth = outer != HT_NONE ? pass->scopes[outer].depth + 1 : 1;
    bool is_instead = kind == FUNCTION_SCOPE && known != HT_NONE;
    if (depth > HT_INLINE_LIMIT || (pass->scope_count == SCOPES_LIMIT && !is_instead))
        return;
    if (is_instead) {
        place = known;
    } else {
        HT_RESERVE(pass->scopes, pass->scope_capacity, pass->scope_count + 1);
        pass->scope_count++;
    }
    pass->scopes[place] = (struct scope){*die, outer, depth};
    pass->innermost[query] = place;
}

// The queries of the unit in [start, end) get the die as their innermost scope: inside what they have (an
// inlined call), or in place of it (a function: of several that cover an address, aliases mostly, the last).
// True if there are any.
static bool enter_range(struct pass *pass, const Dwarf_Die *die, enum scope_kind kind, uint64_t start,
                        uint64_t end)
{
    size_t at = ht_lower_bound(pass->queries, sizeof *pass->queries, pass->first, pass->end,
                               start + pass->unit_bias),
           stop = at;
    while (stop < pass->end && pass->queries[stop].address < end + pass->unit_bias)
        stop++;
    if (!ht_elf_may_step(pass->module, 1 + stop - at))
        return false;
    for (size_t i = at; i < stop && kind != NO_SCOPE; i++)
        enter(pass, i, die, kind);
    return at < stop;
}

// Whether the entry's address ranges contain queries of the unit.
static bool hits(struct pass *pass, const struct ht_entry *entry, enum scope_kind kind)
{
    Dwarf_Die die = ht_entries_die(&pass->entries, entry);
    if (entry->pc == HT_PC_NONE)
        return false;
    if (entry->pc == HT_PC_RANGE)
        return enter_range(pass, &die, kind, entry->low, entry->high);
    Dwarf_Addr base, start, end;
    ptrdiff_t offset = 0;
    bool hit = false;
    while (ht_elf_may_step(pass->module, RANGE_STEPS) &&
           (offset = dwarf_ranges(&die, offset, &base, &start, &end)) > 0)
        hit |= enter_range(pass, &die, kind, start, end);
    return hit;
}

enum { DEPTH_LIMIT = 512 }; // of nested scopes; real ones have some dozens

// Below a function that was hit: blocks and inlined calls around the addresses. `at` is the first child;
// returns where the list of children ended, NULL when it makes no sense.
static const uint8_t *visit_function(struct pass *pass, const uint8_t *at, int depth)
{
    struct ht_entry entry;
    while (at != NULL) {
        int result = ht_entries_read(&pass->entries, at, &entry);
        if (result <= 0)
            return result == 0 ? entry.children : NULL;
        bool enter = false;
        switch (entry.tag) {
        case DW_TAG_inlined_subroutine:
            enter = hits(pass, &entry, INLINED_SCOPE);
            break;
        case DW_TAG_lexical_block:
        case DW_TAG_with_stmt:
        case DW_TAG_try_block:
        case DW_TAG_catch_block:
            enter = entry.pc == HT_PC_NONE || hits(pass, &entry, NO_SCOPE);
            break;
        default:
            break;
        }
        if (enter && entry.has_children && depth < DEPTH_LIMIT)
            at = visit_function(pass, entry.children, depth + 1);
        else
            at = ht_entries_pass(&pass->entries, &entry);
    }
    return NULL;
}

// Looks for functions that contain queries. As visit_function().
static const uint8_t *visit_unit(struct pass *pass, const uint8_t *at, int depth)
{
    struct ht_entry entry;
    while (at != NULL) {
        int result = ht_entries_read(&pass->entries, at, &entry);
        if (result <= 0)
            return result == 0 ? entry.children : NULL;
        bool has_children = entry.has_children && depth < DEPTH_LIMIT;
        const uint8_t *after = NULL;
        switch (entry.tag) {
        case DW_TAG_subprogram:
        case DW_TAG_entry_point:
            if (hits(pass, &entry, FUNCTION_SCOPE) && has_children)
                after = visit_function(pass, entry.children, depth + 1);
            if (pass->visit_all && has_children)
                after = visit_unit(pass, entry.children, depth + 1);
            break;
        case DW_TAG_namespace:
        case DW_TAG_module:
            if (has_children)
                after = visit_unit(pass, entry.children, depth + 1);
            break;
        case DW_TAG_class_type:
        case DW_TAG_structure_type:
        case DW_TAG_union_type:
        case DW_TAG_enumeration_type: // rustc puts methods there
        case DW_TAG_lexical_block:
            if (pass->visit_all && has_children)
                after = visit_unit(pass, entry.children, depth + 1);
            break;
        default:
            break;
        }
        at = after != NULL ? after : ht_entries_pass(&pass->entries, &entry);
    }
    return NULL;
}

// All functions of the unit that contain queries.
static void visit_all_of(struct pass *pass, bool visit_all)
{
    struct ht_entry unit;
    pass->visit_all = visit_all;
    forget_scopes(pass);
    if (ht_entries_begin(&pass->entries, &pass->unit) == 0 &&
        ht_entries_read(&pass->entries, pass->entries.first, &unit) > 0 && unit.has_children)
        visit_unit(pass, unit.children, 0);
}

static const char *symbol_of(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) != NULL ||
        dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute) != NULL) {
        const char *name = dwarf_formstring(&attribute);
        if (name != NULL)
            return name;
    }
    return dwarf_diename(die);
}

static bool has_linkage_name(Dwarf_Die *die)
{
    return dwarf_hasattr_integrate(die, DW_AT_linkage_name) ||
           dwarf_hasattr_integrate(die, DW_AT_MIPS_linkage_name);
}

static int64_t number_attribute(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value;
    if (dwarf_attr_integrate(die, name, &attribute) == NULL || dwarf_formudata(&attribute, &value) != 0)
        return 0;
    return (int64_t)value;
}

static void add_frame(struct ht_elf *module, struct ht_query *query, const struct ht_frame *frame)
{
    HT_RESERVE(module->frames, module->frame_capacity, module->frame_count + 1);
    if (query->frame_count == 0)
        query->first_frame = (uint32_t)module->frame_count;
    module->frames[module->frame_count++] = *frame;
    query->frame_count++;
}

// The name of the function itself. Some C++ functions have no linkage name in their debug info; the symbol
// table knows it. In assembly every alias is a function, and the symbol table knows which is the usual one.
static const char *outer_symbol(struct pass *pass, Dwarf_Die *die, const struct ht_query *query)
{
    const char *name = symbol_of(die);
    if (name != NULL && has_linkage_name(die))
        return name;
    const struct ht_symbol *symbol = ht_elf_symbol(pass->module, query->address);
    if (symbol == NULL)
        return name;
    bool is_mangled = strncmp(symbol->name, "_Z", 2) == 0 || strncmp(symbol->name, "_R", 2) == 0;
    bool is_assembly = dwarf_srclang(&pass->unit) == DW_LANG_Mips_Assembler;
    return name == NULL || is_mangled || is_assembly ? symbol->name : name;
}

// A file name as addr2line shows it: relative ones begin in the unit's folder.
static const char *whole_path(struct pass *pass, const char *name)
{
    if (name == NULL || strcmp(name, "???") == 0)
        return NULL;
    if (name[0] == '/' || pass->folder == NULL)
        return name;
    if (name != pass->last_name) {
        char *path = ht_format("%s/%s", pass->folder, name);
        pass->last_name = name;
        pass->last_path = ht_arena_copy(&pass->module->names, path, strlen(path));
        free(path);
    }
    return pass->last_path;
}

static const char *file_of(struct pass *pass, Dwarf_Files *files, size_t count, int64_t number)
{
    if (files == NULL || number < 0 || (size_t)number >= count)
        return NULL;
    return whole_path(pass, dwarf_filesrc(files, (size_t)number, NULL, NULL));
}

static void answer(struct pass *pass, size_t position, Dwarf_Files *files, size_t file_count)
{
    struct ht_query *query = &pass->queries[position];
    struct ht_frame frame = {0};
    int line = 0;
    Dwarf_Line *source = pass->has_lines ? dwarf_getsrc_die(&pass->lines, query->address - pass->bias) : NULL;
    if (source != NULL) {
        frame.file = whole_path(pass, dwarf_linesrc(source, NULL, NULL));
        frame.line = dwarf_lineno(source, &line) == 0 ? line : 0;
    }
    uint32_t scope = pass->innermost[position];
    if (scope == HT_NONE) {
        const struct ht_symbol *symbol = ht_elf_symbol(pass->module, query->address);
        frame.symbol = symbol != NULL ? symbol->name : NULL;
        if (frame.symbol != NULL || frame.file != NULL)
            add_frame(pass->module, query, &frame);
        return;
    }
    while (scope != HT_NONE) {
        Dwarf_Die *die = &pass->scopes[scope].die;
        scope = pass->scopes[scope].outer;
        frame.symbol = scope == HT_NONE ? outer_symbol(pass, die, query) : symbol_of(die);
        frame.start_line = number_attribute(die, DW_AT_decl_line);
        add_frame(pass->module, query, &frame);
        if (scope != HT_NONE) {
            frame.file = file_of(pass, files, file_count, number_attribute(die, DW_AT_call_file));
            frame.line = number_attribute(die, DW_AT_call_line);
        }
    }
}

static bool all_found(const struct pass *pass)
{
    for (size_t i = pass->first; i < pass->end; i++)
        if (pass->innermost[i] == HT_NONE)
            return false;
    return true;
}

// Answers the queries [first, end), which lie in one unit.
static void resolve_unit(struct pass *pass)
{
    Dwarf_Files *files = NULL;
    size_t file_count = 0;
    visit_all_of(pass, false);
    if (!all_found(pass)) // methods of local classes, nested functions
        visit_all_of(pass, true);
    if (dwarf_getsrcfiles(&pass->unit, &files, &file_count) != 0 &&
        dwarf_getsrcfiles(&pass->lines, &files, &file_count) != 0) // clang's .dwo have no files of their own
        files = NULL;
    for (size_t i = pass->first; i < pass->end; i++)
        answer(pass, i, files, file_count);
}

// A unit that contains queries. The functions of a split one are in another file; clang leaves those with
// inlined calls here, too.
static void open_unit(struct ht_elf *module, Dwarf_Die *die, struct unit *unit)
{
    Dwarf_Attribute folder;
    *unit = (struct unit){
        .die = *die,
        .lines = *die,
        .has_lines = true,
        .folder = dwarf_formstring(dwarf_attr(die, DW_AT_comp_dir, &folder)),
    };
    bool is_split = dwarf_hasattr(die, DW_AT_dwo_name) || dwarf_hasattr(die, DW_AT_GNU_dwo_name);
    if (is_split && ht_split_open(module, die, &unit->die) < 0) {
        unit->has_lines = dwarf_haschildren(die) > 0;
        module->is_complete = false;
    } else if (is_split && dwarf_lowpc(die, &unit->base) != 0) {
        unit->base = 0;
    }
}

// Finds the units that contain queries; query_unit[i] becomes the unit of query i, HT_NONE if there is none.
// Units of programs compiled with a section for each function have as many ranges as functions.
static size_t find_units(struct ht_elf *module, const struct ht_query *queries, size_t count,
                         uint32_t *query_unit, struct unit **ret_units)
{
    uint64_t bias = module->dwarf_bias;
    struct unit *units = NULL;
    size_t unit_count = 0, capacity = 0;
    Dwarf_CU *cu = NULL, *next;
    Dwarf_Die die;
    uint8_t type;
    memset(query_unit, 0xff, count * sizeof *query_unit);
    while (dwarf_get_units(module->dwarf, cu, &next, NULL, &type, &die, NULL) == 0) {
        cu = next;
        if (type != DW_UT_compile && type != DW_UT_skeleton && type != DW_UT_split_compile)
            continue;
        Dwarf_Addr base, start, end;
        ptrdiff_t offset = 0;
        size_t found = 0;
        while (ht_elf_may_step(module, RANGE_STEPS) &&
               (offset = dwarf_ranges(&die, offset, &base, &start, &end)) > 0) {
            size_t at = ht_lower_bound(queries, sizeof *queries, 0, count, start + bias);
            for (; at < count && queries[at].address < end + bias && ht_elf_may_step(module, 1); at++)
                if (query_unit[at] == HT_NONE) {
                    query_unit[at] = (uint32_t)unit_count;
                    found++;
                }
        }
        if (found == 0)
            continue;
        HT_RESERVE(units, capacity, unit_count + 1);
        open_unit(module, &die, &units[unit_count]);
        units[unit_count++].query_count = found;
    }
    *ret_units = units;
    return unit_count;
}

// Resolves unit by unit; pass->queries are those that have a unit, grouped.
static void resolve_units(struct pass *pass, const struct unit *units, size_t unit_count)
{
    for (size_t i = 0; i < unit_count; i++) {
        pass->first = pass->end;
        pass->end += units[i].query_count;
        pass->unit = units[i].die;
        pass->lines = units[i].lines;
        pass->has_lines = units[i].has_lines;
        pass->unit_bias = pass->bias + units[i].base;
        pass->last_name = NULL;
        pass->folder = units[i].folder;
        resolve_unit(pass);
    }
}

void ht_elf_resolve_dwarf(struct ht_elf *module, struct ht_query *queries, size_t count)
{
    Dwarf *dwarf = ht_elf_dwarf(module);
    uint64_t bias = module->dwarf_bias;
    if (dwarf == NULL || count == 0)
        return;
    module->is_complete = true;
    struct unit *units;
    uint32_t *query_unit = ht_realloc_array(NULL, count, sizeof *query_unit);
    size_t unit_count = find_units(module, queries, count, query_unit, &units);
    // A counting sort by unit keeps the order by address; `order` leads back.
    size_t *next = ht_alloc_zero(unit_count, sizeof *next), grouped = 0;
    for (size_t i = 0; i < unit_count; i++) {
        next[i] = grouped;
        grouped += units[i].query_count;
    }
    size_t *order = ht_realloc_array(NULL, grouped, sizeof *order);
    struct pass pass = {.module = module, .bias = bias};
    pass.queries = ht_realloc_array(NULL, grouped, sizeof *pass.queries);
    pass.innermost = ht_realloc_array(NULL, grouped, sizeof *pass.innermost);
    for (size_t i = 0; i < count; i++) {
        if (query_unit[i] == HT_NONE)
            continue;
        order[next[query_unit[i]]] = i;
        pass.queries[next[query_unit[i]]++] = queries[i];
    }
    resolve_units(&pass, units, unit_count);
    module->is_complete = module->is_complete && ht_elf_may_step(module, 0);
    for (size_t i = 0; i < grouped; i++)
        queries[order[i]] = pass.queries[i];
    free(units);
    free(query_unit);
    free(next);
    free(order);
    free(pass.queries);
    free(pass.innermost);
    free(pass.scopes);
    ht_entries_free(&pass.entries);
}
