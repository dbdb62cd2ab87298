// Rows that lie apart: kernels count units as if rows lay one after the other, and add what the input, what is written and its
// gradient have between the row that they are at and there.
override PITCHED: bool = false;

// Wraps, as row 0 may lie before a binding.
struct RowOffsets {
    input: u32,
    output: u32,
    gradient: u32,
}
var<private> input_offset: u32;
var<private> output_offset: u32;
var<private> gradient_offset: u32;

// Of a row of this dispatch: a division, so once per row and not once per unit.
fn offsets_of(row: u32) -> RowOffsets {
    if !PITCHED {
        return RowOffsets();
    }
    let group = (params.first + row) / params.pitch_period;
    let within = (params.first + row) % params.pitch_period;
    let counted = row * (params.row_len / WIDTH);
    return RowOffsets(
        params.input_start + group * params.input_group + within * params.input_row - counted,
        params.output_start + group * params.output_group + within * params.output_row - counted,
        params.gradient_start + group * params.gradient_group + within * params.gradient_row - counted,
    );
}

// What is loaded and stored from here on is of the row that these are of.
fn use_offsets(offsets: RowOffsets) {
    if PITCHED {
        input_offset = offsets.input;
        output_offset = offsets.output;
        gradient_offset = offsets.gradient;
    }
}

fn begin_row(row: u32) {
    use_offsets(offsets_of(row));
}

fn input_index(i: u32) -> u32 {
    if PITCHED {
        return i + input_offset;
    }
    return binding_index(i);
}

fn output_index(i: u32) -> u32 {
    if PITCHED {
        return i + output_offset;
    }
    return binding_index(i);
}

fn gradient_index(i: u32) -> u32 {
    if PITCHED {
        return i + gradient_offset;
    }
    return binding_index(i);
}
