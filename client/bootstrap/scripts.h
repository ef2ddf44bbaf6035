/* scripts.h: what runs on hosts, as part of this program: the build makes it of the .sh files beside this one. */
#ifndef ENSIGN_CLIENT_BOOTSTRAP_SCRIPTS_H
#define ENSIGN_CLIENT_BOOTSTRAP_SCRIPTS_H

extern const char shipped_facts_script[], shipped_steps_script[], shipped_members_script[], shipped_settings_script[],
    shipped_snapshot_script[], shipped_upgrade_script[];

#endif
