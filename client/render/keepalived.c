/* keepalived: the virtual address lies where nginx runs (keepalived.conf(5), VRRP: RFC 5798). */
#include "client/render/render.h"

#include <string.h>

enum { PASSWORD_MAX = 8, PRIORITY_FIRST = 101 };

/* keepalived cuts a longer one without a word, and a blank or "#" would end it. */
static bool password_valid(const char *password)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t size = strlen(password);
    return size >= 1 && size <= PASSWORD_MAX && strspn(password, plain) == size;
}

/* It runs the target of a link, and on Debian /bin/pidof is one to killall5: pgrep is a program. A host without nginx
 * loses more than what tells it from the next. */
static const char check[] = "global_defs {\n"
                            "  enable_script_security\n"
                            "  script_user root\n"
                            "}\n"
                            "\n"
                            "vrrp_script nginx {\n"
                            "  script \"/usr/bin/pgrep -x nginx\"\n"
                            "  interval 1\n"
                            "  weight -2\n"
                            "  fall 2\n"
                            "  rise 2\n"
                            "}\n"
                            "\n";

enum err render_keepalived(const struct render *render, struct bytes *ret_text, struct fault *f)
{
    const struct bootstrap *bootstrap = &render_cluster(render)->bootstrap;
    unsigned ordinal = render_ordinal(render, ROLE_LOAD_BALANCER);
    bool version6 = bootstrap->virtual_address.size == 16;
    char address[ADDRESS_TEXT_SIZE];
    struct bytes out = {0};
    if (!version6 && (!render->vrrp_password || !password_valid(render->vrrp_password)))
        return fault_set(f, CODE_INVALID, "keepalived needs a password of 1 to %d letters and digits", PASSWORD_MAX);
    address_text(&bootstrap->virtual_address, address);
    render_banner(&out);
    bytes_append_text(&out, check);
    bytes_appendf(&out, "vrrp_instance kubernetes {\n  state BACKUP\n  interface %s\n  virtual_router_id %u\n",
                  bootstrap->interface, bootstrap->router_id);
    bytes_appendf(&out, "  priority %u\n  advert_int 1\n", ordinal < PRIORITY_FIRST - 1 ? PRIORITY_FIRST - ordinal : 1);
    if (!version6) /* VRRP version 3, which IPv6 has, knows no passwords */
        bytes_appendf(&out, "  authentication {\n    auth_type PASS\n    auth_pass %s\n  }\n", render->vrrp_password);
    bytes_appendf(&out, "  virtual_ipaddress {\n    %s/%d\n  }\n", address, version6 ? 128 : 32);
    bytes_append_text(&out, "  track_script {\n    nginx\n  }\n}\n");
    return bytes_give(&out, ret_text, f);
}
