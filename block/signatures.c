/* signatures.c - recognises formats that no driver reads, by their first or last bytes, to refuse them */
/* SPDX-License-Identifier: MIT
 *
 * A program that reads a compressed or foreign file as a raw disk gets the bytes of the file instead of those of the
 * disk, and exit status 0. So where a format is guessed, these formats are refused by name. The bytes come from the
 * specifications of the formats, and from the database of file(1).
 */
#include <string.h>
#include <glib.h>
#include "block/drivers.h"

typedef struct Signature {
    const char *name;
    size_t at, length;
    const char *bytes;
    const char *advice;             /* NULL: use qemu-img */
    bool (*goes_on)(const uint8_t *bytes);  /* checks more bytes, for a short signature; NULL: no more to check */
} Signature;

static const char unpack[] = "unpack it first";

/* Look for deflate, the only method, and reserved flags of zero (RFC 1952) */
static bool is_gzip(const uint8_t *bytes)
{
    return bytes[2] == 8 && (bytes[3] & 0xe0) == 0;
}

/* Look for the size of a block, '1' to '9', and the magic number of the first block */
static bool is_bzip2(const uint8_t *bytes)
{
    return bytes[3] >= '1' && bytes[3] <= '9' && !memcmp(bytes + 4, "1AY&SY", 6);
}

/* Look for version 3, the only one that is known */
static bool is_sparseimage(const uint8_t *bytes)
{
    return !memcmp(bytes + 4, "\0\0\0\x03", 4);
}

/* Look for Envelope, the name of an OVF's first element, among the first bytes of an XML document */
static bool is_ovf(const uint8_t *bytes)
{
    return memmem(bytes, BLOCK_PROBE_BYTES - 3, "Envelope", 8) != NULL;
}

/* Look for VirtualBox, the first element of a machine's settings, behind the comment that they begin with */
static bool is_vbox(const uint8_t *bytes)
{
    return memmem(bytes, BLOCK_PROBE_BYTES - 3, "<VirtualBox", 11) != NULL;
}

/* Look for a name that all of VMware's machines have a value for */
static bool is_vmx(const uint8_t *bytes)
{
    return memmem(bytes, BLOCK_PROBE_BYTES, "config.version = ", 17) != NULL;
}

static const char machine[] = "it describes a machine, and names the files that its disks are in";

static const Signature heads[] = {
    { "qcow2 or qcow", 0, 4, "QFI\xfb" },
    { "QED", 0, 4, "QED" },                                 /* and a zero byte */
    { "VMDK", 0, 4, "KDMV" },
    { "VMDK (ESX, sparse)", 0, 4, "COWD" },
    { "VMDK descriptor", 0, 21, "# Disk DescriptorFile", "name it to qemu-img, which reads the files that it lists" },
    { "VDI", 64, 4, "\x7f\x10\xda\xbe" },
    { "VHDX", 0, 8, "vhdxfile" },
    { "Parallels", 0, 16, "WithoutFreeSpace" },
    { "Parallels", 0, 16, "WithouFreSpacExt" },
    { "Bochs", 0, 22, "Bochs Virtual HD Image" },
    { "cloop", 0, 23, "#!/bin/sh\n#V2.0 Format\n" },
    { "CHD", 0, 8, "MComprHD", "MAME's chdman unpacks it" },
    { "gzip", 0, 2, "\x1f\x8b", unpack, is_gzip },
    { "bzip2", 0, 3, "BZh", unpack, is_bzip2 },
    { "xz", 0, 6, "\xfd" "7zXZ", unpack },                  /* and a zero byte */
    { "zstd", 0, 4, "\x28\xb5\x2f\xfd", unpack },
    { "LZ4", 0, 4, "\x04\x22\x4d\x18", unpack },
    { "zip", 0, 4, "PK\x03\x04", unpack },
    { "7z", 0, 6, "7z\xbc\xaf\x27\x1c", unpack },
    { "RAR", 0, 6, "Rar!\x1a\x07", unpack },
    { "zip", 0, 4, "PK\x05\x06", unpack },                  /* an empty one, */
    { "zip", 0, 4, "PK\x07\x08", unpack },                  /* and a part of a spanned one */
    { "LZ4", 0, 4, "\x02\x21\x4c\x18", unpack },
    { "lzip", 0, 4, "LZIP", unpack },
    { "lzop", 0, 9, "\x89LZO\0\x0d\x0a\x1a\x0a", unpack },
    { "tar or OVA", 257, 5, "ustar", unpack },
    { "CAB", 0, 8, "MSCF\0\0\0\0", unpack },
    { "WIM", 0, 8, "MSWIM\0\0\0", unpack },
    { "EWF (E01)", 0, 8, "EVF\x09\x0d\x0a\xff\0", "libewf's ewfexport unpacks it" },
    { "Android sparse image", 0, 6, "\x3a\xff\x26\xed\x01\0", "simg2img unpacks it" },
    { "DMG, encrypted", 0, 8, "encrcdsa", "macOS's hdiutil unpacks it" },
    { "sparse image of macOS", 0, 4, "sprs", "macOS's hdiutil unpacks it", is_sparseimage },
    { "VMDK (seSparse)", 0, 8, "\xbe\xba\xfe\xca\0\0\0\0" },
    { "OVF description", 0, 13, "<ovf:Envelope", "the disks are in the files that it lists" },
    { "OVF description", 3, 5, "<?xml", "the disks are in the files that it lists", is_ovf },   /* after a BOM */
    { "OVF description", 0, 5, "<?xml", "the disks are in the files that it lists", is_ovf },
    { "OVF description", 0, 9, "<Envelope", "the disks are in the files that it lists" },
    { "LUKS", 0, 6, "LUKS\xba\xbe", "a guest that decrypts it has it as a raw disk, and qemu-img converts it" },
    { "VMX (VMware)", 0, 9, ".encoding", machine, is_vmx },
    { "VMX (VMware)", 0, 14, "config.version", machine, is_vmx },
    { "VMX (VMware)", 0, 17, "#!/usr/bin/vmware", machine, is_vmx },
    { "settings of VirtualBox", 3, 5, "<?xml", machine, is_vbox },
    { "settings of VirtualBox", 0, 5, "<?xml", machine, is_vbox },
    { "settings of VirtualBox", 0, 11, "<VirtualBox", machine },
};

static const Signature tails[] = {
    { "DMG", BLOCK_PROBE_BYTES - 512, 4, "koly" },
};

static const Signature *find_signature(const Signature *table, size_t count, const uint8_t *bytes)
{
    for (size_t i = 0; i < count; i++) {
        const Signature *s = &table[i];

        if (!memcmp(bytes + s->at, s->bytes, s->length) && (!s->goes_on || s->goes_on(bytes + s->at))) {
            return s;
        }
    }
    return NULL;
}

const char *bdrv_foreign_format(const BlockProbe *probe, const char **advice)
{
    const Signature *s = find_signature(heads, G_N_ELEMENTS(heads), probe->head);

    s = s || probe->size < 512 ? s : find_signature(tails, G_N_ELEMENTS(tails), probe->tail);
    *advice = s && s->advice ? s->advice : "qemu-img converts it";
    return s ? s->name : NULL;
}
