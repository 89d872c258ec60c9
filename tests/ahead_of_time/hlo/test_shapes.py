import pytest

from jaxsched.ahead_of_time.hlo.shapes import Shape, shapes_in


@pytest.mark.parametrize(
    ("text", "compilers"),
    # What the v5e compiler of libtpu 0.0.42.1 gives as the size of such an argument. It counts
    # whole units of 512 bytes, which the smallest arrays fill no better than these.
    [
        ("f32[3,5,7]{2,0,1:T(4,128)}", 10240),
        ("bf16[100,3]{0,1:T(4,128)(2,1)}", 1024),
        ("u8[10,7,3]{0,1,2:T(8,128)(4,1)}", 3072),
        ("pred[700]{0:T(1024)(128)(4,1)}", 1024),
        ("s32[]{:T(128)}", 512),
        ("u8[64,33,33,3]{0,2,3,1:T(8,128)(4,1)}", 506880),
        ("bf16[5,16,130]{2,1,0:T(8,128)(2,1)}", 40960),
        ("s8[300,300]{1,0:T(8,128)(4,1)}", 116736),
        ("s4[40,300]{1,0:T(8,128)(8,1)E(4)}", 7680),
    ],
)
def test_padded_bytes_are_the_compilers(text, compilers):
    assert shapes_in(text)[0].padded_bytes == compilers


def test_a_layout_without_tiles_pads_nothing():
    shape = shapes_in("u8[128,32,32,3]{3,2,1,0}")[0]
    assert shape.padded_bytes == shape.bytes == 128 * 32 * 32 * 3


def test_a_star_merges_a_dimension_with_the_next_faster_one():
    # 3 × 50 values become one dimension of 150, which two tiles of 128 hold.
    assert shapes_in("u8[3,50]{1,0:T(*,128)}")[0].padded_bytes == 256


def test_the_arrays_of_a_tuple_stand_in_order():
    text = "((f32[3]{0}, bf16[8,128]{1,0:T(8,128)(2,1)S(1)}), token[], u8[<=4,2]{1,0}, f32[0])"
    three, half, token, dynamic, empty = shapes_in(text)
    assert three == Shape("f32", (3,), (0,))
    assert (half.tiles, half.memory_space) == (((8, 128), (2, 1)), 1)
    assert (token.bytes, dynamic.dimensions) == (0, (4, 2))
    assert empty.padding == 1
