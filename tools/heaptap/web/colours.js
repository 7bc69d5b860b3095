// Colours of the frames, for light and for dark: where a function comes from, or how it changed.

// Hues far from each other; the program itself has the first.
const HUES = [32, 207, 140, 275, 335, 62, 178, 300]
const OTHER = 0

// From gone to new; `until` is (now - before) / the larger of both. `signed`: where values below zero are all that is known,
// it is the sum / the sum without signs.
export const STEPS = [
  { until: -0.5, light: '#6f9fd8', dark: '#2f66ab', words: 'gone, or less than half', signed: 'mostly below zero' },
  { until: -0.1, light: '#a9c6ea', dark: '#2c4f7c', words: 'shrank', signed: 'below' },
  { until: -0.02, light: '#d5e2f3', dark: '#2c3c52', words: 'shrank a little', signed: 'a little below' },
  { until: 0.02, light: '#dcdcdc', dark: '#44474d', words: 'same', signed: 'balanced' },
  { until: 0.1, light: '#f8d9d3', dark: '#553634', words: 'grew a little', signed: 'a little above' },
  { until: 0.5, light: '#f2a598', dark: '#853c34', words: 'grew', signed: 'above' },
  { until: Infinity, light: '#e4705f', dark: '#b83c2e', words: 'more than doubled, or new', signed: 'mostly above zero' }
]

export function changeColour (change, dark) {
  const step = STEPS.find(({ until }) => change < until) ?? STEPS[STEPS.length - 1]
  return dark ? step.dark : step.light
}

// A small hash, the same in every run: frames of one name look alike, neighbours differ.
function hash (text) {
  let h = 2166136261
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619)
  return (h ^ (h >>> 15)) >>> 0
}

// Groups frames by program and library, the heaviest first.
export class Palette {
  constructor (model) {
    const weights = new Map()
    const type = model.types[model.data.type]
    for (const node of model.nodes) {
      if (node.object === '' || node.cut) continue
      const weight = Math.abs(type.self[node.i]) + (weights.get(node.object) ?? 0)
      weights.set(node.object, weight)
    }
    const names = [...weights.keys()].filter(name => name !== model.data.mainObject).sort((a, b) => weights.get(b) - weights.get(a))
    if (weights.has(model.data.mainObject)) names.unshift(model.data.mainObject)
    this.groups = names.slice(0, names.length > HUES.length ? HUES.length - 1 : HUES.length)
    this.others = names.length - this.groups.length
    this.numbers = new Map(this.groups.map((name, i) => [name, i]))
  }

  group (number, dark, shade = 0.5, tint = 0.5) {
    const hue = HUES[number] + (shade - 0.5) * 22
    const green = HUES[number] > 90 && HUES[number] < 200 // looks lighter and louder than the others
    const lightness = (dark ? (green ? 27 : 33) : (green ? 70 : 72)) + (tint - 0.5) * (dark ? 6 : 9)
    const saturation = green ? (dark ? 40 : 48) : (dark ? 48 : 82)
    return `hsl(${hue.toFixed(1)}, ${saturation}%, ${lightness.toFixed(1)}%)`
  }

  other (dark, tint = 0.5) {
    return `hsl(${OTHER}, 0%, ${((dark ? 32 : 80) + (tint - 0.5) * 7).toFixed(1)}%)`
  }

  colour (node, dark) {
    const h = hash(node.name)
    const shade = (h % 97) / 96
    const tint = ((h >>> 8) % 89) / 88
    const number = this.groups.length === 0 ? 0 : this.numbers.get(node.object)
    return number === undefined ? this.other(dark, tint) : this.group(number, dark, shade, tint)
  }
}
