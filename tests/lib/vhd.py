# vhd.py - VHD images, built and taken apart by the format's description alone
# SPDX-License-Identifier: MIT
"""The second implementation that the tests compare the driver with. It knows nothing of the driver's
sources; docs/VHD.md is where both have the format from. Offsets and lengths are bytes unless they are
called sectors. Images are held in memory, as bytearrays."""

import functools
import struct
import typing

SECTOR = 512
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
UNUSED = 0xffffffff
ONES = 0xffffffffffffffff
MIB = 1 << 20
UUID = bytes(range(0x10, 0x20))

# name: offset, kind
FOOTER = {
    'cookie': (0, '8s'), 'features': (8, 'I'), 'version': (12, 'I'), 'data_offset': (16, 'Q'),
    'timestamp': (24, 'I'), 'creator': (28, '4s'), 'creator_version': (32, 'I'), 'creator_os': (36, '4s'),
    'original_size': (40, 'Q'), 'current_size': (48, 'Q'), 'cylinders': (56, 'H'), 'heads': (58, 'B'),
    'sectors': (59, 'B'), 'type': (60, 'I'), 'checksum': (64, 'I'), 'uuid': (68, '16s'),
    'saved_state': (84, 'B'), 'hidden': (85, 'B'), 'reserved': (86, '426s'),
}
HEADER = {
    'cookie': (0, '8s'), 'data_offset': (8, 'Q'), 'table_offset': (16, 'Q'), 'version': (24, 'I'),
    'entries': (28, 'I'), 'block_size': (32, 'I'), 'checksum': (36, 'I'), 'parent_uuid': (40, '16s'),
    'parent_timestamp': (56, 'I'), 'parent_name': (64, '512s'), 'locators': (576, '192s'),
}
BATMAP = {
    'cookie': (0, '8s'), 'offset': (8, 'Q'), 'sectors': (16, 'I'), 'version': (20, 'I'),
    'checksum': (24, 'I'),
}
FOOTER_SUM, HEADER_SUM = 64, 36


def round_up(n, unit):
    return -(-n // unit) * unit


def checksum(data, at):
    """Of a footer or header whose checksum is at @at"""
    return ~(sum(data) - sum(data[at:at + 4])) & 0xffffffff


def put(buf, at, table, **fields):
    for name, value in fields.items():
        offset, kind = table[name]
        struct.pack_into('>' + kind, buf, at + offset, value)


def get(buf, at, table, name):
    offset, kind = table[name]
    return struct.unpack_from('>' + kind, buf, at + offset)[0]


def seal(buf, at, length, sum_at):
    struct.pack_into('>I', buf, at + sum_at, checksum(buf[at:at + length], sum_at))


def geometry(size):
    """Cylinders, heads, sectors of a track: the specification's algorithm"""
    total = min(size // SECTOR, 65535 * 16 * 255)
    if total >= 65535 * 16 * 63:
        return total // 255 // 16, 16, 255
    sectors, tracks = 17, total // 17
    heads = max((tracks + 1023) // 1024, 4)
    if tracks >= heads * 1024 or heads > 16:
        sectors, heads, tracks = 31, 16, total // 31
    if tracks >= heads * 1024:
        sectors, heads, tracks = 63, 16, total // 63
    return tracks // heads, heads, sectors


def make_footer(size, disk_type, **fields):
    cylinders, heads, sectors = geometry(size)
    buf = bytearray(SECTOR)
    put(buf, 0, FOOTER, cookie=b'conectix', features=2, version=0x10000,
        data_offset=ONES if disk_type == FIXED else SECTOR, timestamp=1, creator=b'tst ',
        creator_version=0x10000,
        creator_os=b'Wi2k', original_size=size, current_size=size, cylinders=cylinders, heads=heads,
        sectors=sectors, type=disk_type, uuid=UUID)
    put(buf, 0, FOOTER, **fields)
    seal(buf, 0, SECTOR, FOOTER_SUM)
    return bytes(buf)


def make_header(table_offset, entries, block_size, locators, fields):
    """@fields: what shall be different"""
    buf = bytearray(1024)
    put(buf, 0, HEADER,
        **{'cookie': b'cxsparse', 'data_offset': ONES, 'table_offset': table_offset, 'version': 0x10000,
                           'entries': entries, 'block_size': block_size, 'locators': locators, **fields})
    seal(buf, 0, 1024, HEADER_SUM)
    return bytes(buf)


class Locator(typing.NamedTuple):
    """One of a child's names for its parent. @data: as it is on disk"""

    code: bytes
    data: bytes
    room: int = SECTOR
    slot: int = -1                  # in the header; -1: its place in the list
    said: int = -1                  # what the header says of the room; -1: the truth
    length: int = -1                # and of the length
    before_bat: bool = False


def utf16(text, order='le'):
    """Windows lets names hold half of a surrogate pair"""
    return text.encode('utf-16-' + order, 'surrogatepass')


def locator(code, text, **more):
    encoded = utf16(text) if code[:2] == 'W2' else text.encode('latin-1' if code[:2] == 'Wi' else 'utf-8')
    return Locator(code.encode(), encoded, **{'room': round_up(len(encoded), SECTOR), **more})


def bitmap_bytes(block_size):
    return round_up(round_up(block_size // SECTOR, 8) // 8, SECTOR)


@functools.cache
def zeroes(size):
    return bytes(size)


def padded(data, size):
    return data if len(data) == size else data.ljust(size, b'\0') if data else zeroes(size)


class Image(bytearray):
    """An image to be spoilt. @places: where each block that it has begins, in bytes"""

    header_at, bat_at = SECTOR, 3 * SECTOR
    places, locators, batmap_at = {}, [], None

    def ends(self, where):
        return [at for name, at in (('head', 0), ('tail', len(self) - SECTOR)) if where in (name, 'both')]

    def change_footer(self, where='both', sealed=True, **fields):
        for at in self.ends(where):
            put(self, at, FOOTER, **fields)
            if sealed:
                seal(self, at, SECTOR, FOOTER_SUM)
        return self

    def change_header(self, sealed=True, **fields):
        put(self, self.header_at, HEADER, **fields)
        if sealed:
            seal(self, self.header_at, 1024, HEADER_SUM)
        return self

    def change_bat(self, block, sector):
        struct.pack_into('>I', self, self.bat_at + 4 * block, sector)
        return self

    def change(self, at, data):
        self[at:at + len(data)] = data
        return self

    def insert_before_tail(self, data):
        self[-SECTOR:-SECTOR] = data
        return self


def fixed(size, fill=b'F', **fields):
    return Image(fill * size + make_footer(size, FIXED, **fields))


def write_empty_fixed(path, size, footer):
    """A fixed image of zeroes, which are a hole of the file"""
    with open(path, 'wb') as file:
        file.truncate(size)
        file.seek(size)
        file.write(footer)


class Builder:
    """Lays out a dynamic image, first things first"""

    def __init__(self):
        self.image = Image(3 * SECTOR)
        self.image.places, self.image.locators = {}, []
        self.table = bytearray(192)     # of the locators

    def add(self, data, align=SECTOR):
        at = round_up(len(self.image), align)
        self.image.extend(bytes(at - len(self.image)) + data)
        return at

    def add_locators(self, locators, before_bat):
        for slot, found in enumerate(Locator(*fields) for fields in locators):
            if found.before_bat == before_bat:
                at = self.add(found.data.ljust(found.room, b'l'), 4096 if before_bat else SECTOR)
                room = found.room if found.said < 0 else found.said
                length = len(found.data) if found.length < 0 else found.length
                self.image.locators.append((at, found.room))
                struct.pack_into('>4sIIIQ', self.table, 24 * (found.slot if found.slot >= 0 else slot),
                                 found.code, room, length, 0, at)

    def add_batmap(self, entries, full):
        """@full: the blocks all of whose sectors are there"""
        bits = bytearray(round_up((entries + 7) // 8, SECTOR))
        for block in full:
            bits[block // 8] |= 0x80 >> block % 8
        self.image.batmap_at = self.add(bytes(SECTOR))
        at = self.add(bits)
        put(self.image, self.image.batmap_at, BATMAP, cookie=b'tdbatmap', offset=at,
            sectors=len(bits) // SECTOR,
            version=0x10002, checksum=~sum(bits) & 0xffffffff)

    def add_block(self, block, data, bits, block_size):
        """@data: a byte to fill it with, or all of it; @bits: its bitmap, None: all set"""
        bitmap = (bits or b'\xff' * bitmap_bytes(block_size)).ljust(bitmap_bytes(block_size), b'\0')
        at = self.add(bitmap + (data * block_size if len(data) == 1 else data))
        self.image.places[block] = at
        self.image.change_bat(block, at // SECTOR)


def dynamic(size=8 * MIB, blocks=None, block_size=2 * MIB, entries=None, bits=None, gap=0, locators=(),
            batmap=None,
            pad=b'\xff', header=None, **fields):
    """@blocks: number to contents, in the order they shall have in the file; @locators: Locators, or the
    first fields of these; fields are the footer's"""
    blocks = {0: b'D'} if blocks is None else blocks
    entries = round_up(size, block_size) // block_size if entries is None else entries
    b = Builder()
    b.add_locators(locators, True)
    b.image.bat_at = b.add(b'\xff' * 4 * entries + pad * (-4 * entries % SECTOR))
    if batmap is not None:
        b.add_batmap(entries, batmap)
    b.add_locators(locators, False)
    b.add(bytes(gap))
    for block, data in blocks.items():
        b.add_block(block, data, (bits or {}).get(block), block_size)
    footer = make_footer(size, DYNAMIC, **fields)
    b.add(footer)
    b.image.change(0, footer)
    found = make_header(b.image.bat_at, entries, block_size, bytes(b.table), header or {})
    return b.image.change(SECTOR, found)


def differencing(name=b'', parent_uuid=UUID, parent_timestamp=0, header=None, **more):
    """@name: the parent's in the header, as it is on disk; the rest is as for dynamic()"""
    found = {'parent_name': name, 'parent_uuid': parent_uuid, 'parent_timestamp': parent_timestamp}
    return dynamic(**{'type': DIFFERENCING, **more}, header={**found, **(header or {})})


def is_footer(data):
    """Old tapdisks hid images without a new checksum"""
    old_tap = data[28:31] == b'tap' and get(data, 0, FOOTER, 'creator_version') in (0x00000001, 0x00010001)
    off = get(data, 0, FOOTER, 'checksum') - checksum(data, FOOTER_SUM)
    return data[:8] == b'conectix' and (off == 0 or old_tap and off == data[85])


class Disk:
    """A sound image, or one with bad blocks, taken apart. ValueError: no VHD that makes sense. @parent: the
    contents of the parent's disk"""

    def __init__(self, data, parent=b''):
        self.data, self.parent = data, parent
        self.tail_at = len(data) - SECTOR
        footer = bytes(data[-SECTOR:])
        if not is_footer(footer):
            raise ValueError('no valid footer at the end')
        self.footer = {name: get(footer, 0, FOOTER, name) for name in FOOTER}
        self.size = self.footer['current_size']
        self.fixed = self.footer['type'] == FIXED
        self.problems = []
        if not self.fixed:
            if data[:SECTOR] != footer:
                self.problems.append('the footer and its copy differ')
            self._parse_header(self.footer['data_offset'])
            self._check_blocks()

    def _parse_header(self, at):
        raw = self.data[at:at + 1024]
        self.header = {name: get(raw, 0, HEADER, name) for name in HEADER}
        if self.header['cookie'] != b'cxsparse' or self.header['checksum'] != checksum(raw, HEADER_SUM):
            raise ValueError('no valid header')
        self.block_size = self.header['block_size']
        self.bitmap_bytes = bitmap_bytes(self.block_size)
        entries, bat_at = self.header['entries'], self.header['table_offset']
        self.bat = struct.unpack_from(f'>{entries}I', self.data, bat_at)
        bat_end = bat_at + round_up(4 * entries, SECTOR)
        self.metadata = [(0, SECTOR), (at, at + 1024),
                         (bat_at, bat_end)] + self._locators() + self._batmap(bat_end)

    def _locators(self):
        found = []
        for i in range(8):
            code, room, _, _, at = struct.unpack_from('>4sIIIQ', self.header['locators'], 24 * i)
            if code != bytes(4):
                found.append((at, at + (room if room >= SECTOR else room * SECTOR)))
        return found

    def _batmap(self, at):
        self.full = b''
        if self.footer['creator'][:3] != b'tap' or self.data[at:at + 8] != b'tdbatmap':
            return []
        start = get(self.data, at, BATMAP, 'offset')
        end = start + SECTOR * get(self.data, at, BATMAP, 'sectors')
        self.full = self.data[start:end]
        if get(self.data, at, BATMAP, 'checksum') != ~sum(self.full) & 0xffffffff:
            self.problems.append('batmap: wrong checksum')
        return [(at, at + SECTOR), (start, end)]

    def _check_blocks(self):
        """Of two that overlap, both are bad; what lies on metadata harms no other block"""
        self.bad = set()
        taken = []
        for block, sector in enumerate(self.bat):
            start = sector * SECTOR
            end = start + self.bitmap_bytes + self.block_size
            needed = min(self.block_size, max(self.size - block * self.block_size, 0))
            if sector == UNUSED:
                continue
            if start + self.bitmap_bytes + needed > self.tail_at:
                self._complain(block, 'lies past the end')
            elif any(start < m[1] and m[0] < end for m in self.metadata):
                self._complain(block, 'lies on metadata')
            else:
                taken.append((start, end, block))
        self._check_overlaps(sorted(taken))
        for block in range(len(self.bat)):
            self._check_bits(block)

    def _complain(self, block, text):
        self.problems.append(f'block {block} {text}')
        self.bad.add(block)

    def _check_overlaps(self, taken):
        for before, after in zip(taken, taken[1:]):
            if after[0] < before[1]:
                self._complain(before[2], 'overlaps')
                self._complain(after[2], 'overlaps')

    def _check_bits(self, block):
        if self.bat[block] == UNUSED or block in self.bad:
            return
        at = self.bat[block] * SECTOR
        bits = self.data[at:at + self.bitmap_bytes]
        start = at + self.bitmap_bytes
        if bits.count(0xff) != len(bits):
            for i in range(self.block_size // SECTOR):
                sector = self.data[start + i * SECTOR:start + (i + 1) * SECTOR]
                if not bits[i // 8] & 0x80 >> i % 8 and sector.count(0) != len(sector):
                    self.problems.append(f'block {block} has data under a clear bit')
                    break
            if self.full and self.full[block // 8] & 0x80 >> block % 8:
                self.problems.append(f'batmap: block {block} is not full')

    def name_in(self, code):
        """The data of the locator with this code; None: there is none"""
        for i in range(8):
            found, _, length, _, at = struct.unpack_from('>4sIIIQ', self.header['locators'], 24 * i)
            if found == code:
                return bytes(self.data[at:at + length])
        return None

    def read_block(self, block):
        """What a reader that obeys bitmaps sees; None: it can't be read"""
        if block >= len(self.bat) or block in self.bad:
            return None
        start = block * self.block_size
        below = padded(self.parent[start:start + self.block_size], self.block_size)
        if self.bat[block] == UNUSED:
            return below
        at = self.bat[block] * SECTOR
        bits = self.data[at:at + self.bitmap_bytes]
        start = at + self.bitmap_bytes
        data = padded(self.data[start:start + self.block_size], self.block_size)
        if bits.count(0xff) != len(bits):
            data = bytearray(data)
            for i in range(self.block_size // SECTOR):
                if not bits[i // 8] & 0x80 >> i % 8:
                    data[i * SECTOR:(i + 1) * SECTOR] = below[i * SECTOR:(i + 1) * SECTOR]
        return bytes(data)

    def blocks(self):
        """All of them, the last cut to the disk's size. A fixed disk is one block"""
        if self.fixed:
            return [bytes(self.data[:self.size])]
        count = round_up(self.size, self.block_size) // self.block_size
        found = [self.read_block(block) for block in range(count)]
        if found and found[-1] is not None:
            found[-1] = found[-1][:self.size - (count - 1) * self.block_size]
        return found

    def contents(self):
        return b''.join(self.blocks())
