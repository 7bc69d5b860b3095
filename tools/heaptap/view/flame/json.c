// The flame graph as JSON for scripts: one row for each frame, parents before children.
#include "view/flame/flame.h"
#include "view/report_json.h"

static void add_values(const struct ht_flame *flame, struct ht_json *json, const char *key,
                       const int64_t *values, uint32_t node)
{
    ht_json_begin_array(json, key);
    for (size_t type = 0; type < flame->type_count; type++)
        ht_json_int(json, NULL, ht_flame_value(flame, values, node, type));
    ht_json_end_array(json);
}

static void add_place(const struct ht_flame *flame, struct ht_json *json, uint32_t position)
{
    const struct ht_flame_node *node = &flame->nodes[position];
    if (node->file != 0)
        ht_json_string(json, "file", ht_flame_file(flame, position));
    if (node->line_first != 0)
        ht_json_int(json, "line", node->line_first);
    if (node->line_last != node->line_first)
        ht_json_int(json, "last_line", node->line_last);
    if (node->object != 0)
        ht_json_string(json, "object", ht_profile_text(flame->report->profile, node->object));
}

static void add_row(struct ht_flame *flame, struct ht_json *json, uint32_t position)
{
    const struct ht_flame_node *node = &flame->nodes[position];
    const char *inlined = !node->is_inlined ? "never" : node->is_called ? "partly" : "always";
    ht_json_begin_object(json, NULL);
    ht_json_int(json, "id", (int64_t)node->order + 1);
    if (node->parent != HT_NONE)
        ht_json_int(json, "parent", (int64_t)flame->nodes[node->parent].order + 1);
    ht_json_int(json, "depth", node->depth);
    ht_json_string(json, "name", ht_flame_name(flame, position));
    if (node->frame != HT_NONE) {
        const struct ht_node_info *info = &flame->names.nodes[node->frame].info;
        if (info->name != 0)
            ht_json_string(json, "function", ht_profile_text(flame->report->profile, info->name));
        add_place(flame, json, position);
        if (info->address != 0)
            ht_report_json_hex(json, "address", info->address);
        ht_json_string(json, "inlined", inlined);
    }
    add_values(flame, json, "values", flame->now.cum, position);
    add_values(flame, json, "self_values", flame->now.self, position);
    if (flame->has_base) {
        add_values(flame, json, "base_values", flame->base.cum, position);
        add_values(flame, json, "base_self_values", flame->base.self, position);
    }
    if (node->cut_frames > 0) {
        ht_json_int(json, "cut_frames", node->cut_frames);
        add_values(flame, json, "cut_values", flame->now.cut, position);
        if (flame->has_base)
            add_values(flame, json, "base_cut_values", flame->base.cut, position);
    }
    ht_json_end_object(json);
}

void ht_flame_json(struct ht_flame *flame, const char *name, struct ht_buffer *out)
{
    struct ht_json json = {.out = out};
    ht_report_json_begin(&json, flame->report, name);
    ht_report_json_sample_types(&json, flame->report->profile, flame->type_count);
    ht_json_bool(&json, "has_base", flame->has_base);
    ht_json_int(&json, "nodes", (int64_t)(flame->order_count - 1 + ht_flame_cut_frames(flame)));
    ht_json_int(&json, "cut_frames", (int64_t)ht_flame_cut_frames(flame));
    ht_json_number(&json, "cut_percent", flame->cut_fraction * 100);
    ht_json_begin_array(&json, "rows");
    for (size_t i = 0; i < flame->order_count; i++)
        add_row(flame, &json, flame->order[i]);
    ht_json_end_array(&json);
    ht_json_end_object(&json);
}
