// A cell's entry in the table of dispatch.cpp.
#pragma once

#include "general.h"
#include "general_backward.h"

namespace holdfast::HOLDFAST_ISA {

template <class Cell, class Format>
struct Entry {
  static constexpr int G = Cell::gates, U = Cell::units, first = Cell::reset_before ? 2 : G;

  static bool general(const Sequence& s) { return Cell::reset_before || s.weight_hr || s.norm_ih; }

  static Sizes sizes(const Sequence& s, bool back) {
    const int64_t H = s.hidden, P = s.width, rest = Cell::reset_before ? H : 0;
    if (back)
      return {0,
              panel_size<1, 2>(P, first * H),
              panel_size<1, 2>(P, rest),
              s.weight_hr ? panel_size<1, 2>(H, P) : 0,
              BackWorkspace<Cell>::floats(s),
              0,
              BackWorkspace<Cell>::own_floats(s),
              Slots<Cell>::count};
    return {Format::template size<G, U>(H, s.inputs),
            Format::template size<first, U>(H, P),
            Cell::reset_before ? Format::template size<1, 2>(H, P) : 0,
            s.weight_hr ? Format::template size<1, 2>(P, H) : 0,
            Workspace<Cell>::floats(s),
            row_stride(s.inputs) + G * padded(H),
            0,
            Slots<Cell>::count};
  }

  static void pack_forward(const Sequence& s, const PackedWeights& panels, const Worker& worker) {
    const int64_t H = s.hidden, P = s.width, I = s.inputs;
    const float* bias_ih = s.norm_ih ? nullptr : s.bias_ih;  // added after the normalisation
    const float* bias_hh = s.norm_hh ? nullptr : s.bias_hh;
    Format::template pack<G, U>({s.weight_ih, bias_ih, H, I, I, 1}, panels.input, worker);
    Format::template pack<first, U>({s.weight_hh, bias_hh, H, P, P, 1}, panels.recurrent, worker);
    if (Cell::reset_before)
      Format::template pack<1, 2>({s.weight_hh + 2 * H * P, shift(bias_hh, 2 * H), H, P, P, 1},
                                  panels.candidate, worker);
    if (s.weight_hr)
      Format::template pack<1, 2>({s.weight_hr, nullptr, P, H, H, 1}, panels.projection, worker);
  }

  static void pack_adjoint(const Sequence& s, const PackedWeights& panels, const Worker& worker) {
    const int64_t H = s.hidden, P = s.width;
    pack<1, 2>({s.weight_hh, nullptr, P, first * H, 1, P}, panels.recurrent, worker);
    if (Cell::reset_before)
      pack<1, 2>({s.weight_hh + 2 * H * P, nullptr, P, H, 1, P}, panels.candidate, worker);
    if (s.weight_hr) pack<1, 2>({s.weight_hr, nullptr, H, P, 1, H}, panels.projection, worker);
  }

  static void forward(const Sequence& s, const Outputs& out, const Rows& rows, const PackedWeights& panels,
                      const Scratch& scratch, const Worker& worker) {
    if (general(s))
      General<Cell, Format>{s, out, rows, panels, worker, {s, rows.count, scratch.states}}.run(scratch);
    else if constexpr (!Cell::reset_before)
      (s.noisy() ? forward_fused<Cell, Format, true>
                 : forward_fused<Cell, Format, false>)(s, out, rows, panels, scratch, worker);
  }

  static void backward(const Sequence& s, const Adjoint& g, const Rows& rows, const PackedWeights& panels,
                       const Scratch& scratch, const Worker& worker) {
    if (general(s))
      GeneralBackward<Cell>{s, g, rows, panels, worker, {s, rows.count, scratch, worker}}.run();
    else if constexpr (!Cell::reset_before)
      (s.noisy() ? backward_fused<Cell, true> : backward_fused<Cell, false>)(s, g, rows, panels, scratch,
                                                                             worker);
  }
};

// A cell's two kernels. int8 weights run forward only.
template <class Cell>
constexpr Kernel kernels_of[] = {
    {Cell::name, Float32::suffix, Cell::gates, Cell::saved, Cell::peepholes, Entry<Cell, Float32>::general,
     Entry<Cell, Float32>::sizes, Entry<Cell, Float32>::pack_forward, Entry<Cell, Float32>::forward,
     Entry<Cell, Float32>::pack_adjoint, Entry<Cell, Float32>::backward},
    {Cell::name, Int8::suffix, Cell::gates, Cell::saved, Cell::peepholes, Entry<Cell, Int8>::general,
     Entry<Cell, Int8>::sizes, Entry<Cell, Int8>::pack_forward, Entry<Cell, Int8>::forward, nullptr,
     nullptr}};

}  // namespace holdfast::HOLDFAST_ISA
