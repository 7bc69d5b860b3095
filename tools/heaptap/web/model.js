// The profile's data: columns of the JSON become a tree with sums, and values become words. Touches nothing of the page.

// Controls, marks of direction and invisible characters are written out, so that a name looks like what it is.
export function printable (text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    c => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'))
}

// Sums of the columns of one sample type over everything above a node. A node stands behind its parent in every column.
function sumUp (column, parents) {
  const sums = Float64Array.from(column)
  for (let i = sums.length - 1; i > 0; i--) sums[parents[i]] += sums[i]
  return sums
}

const WORDS = {
  inuse_space: 'live bytes',
  inuse_objects: 'live objects',
  alloc_space: 'bytes ever allocated',
  alloc_objects: 'objects ever allocated',
  space: 'bytes',
  objects: 'objects',
  cpu: 'processor time',
  wall: 'time',
  delay: 'time spent waiting',
  contentions: 'times waited',
  samples: 'samples'
}

export class Model {
  constructor (data) {
    const texts = data.texts.map(printable)
    this.data = data
    this.program = printable(data.program)
    this.hasBase = data.hasBase
    this.types = data.types.map((type, index) => ({ ...type, index, name: printable(type.name), unit: printable(type.unit) }))
    for (const type of this.types) type.words = WORDS[type.name] ?? type.name
    this.frameCount = data.parent.length - 1
    this.cutFrames = data.cutFrames.reduce((sum, frames) => sum + frames, 0)

    // What was cut from a frame becomes a child of it, behind all frames.
    const parents = data.parent.concat(data.cutAt)
    this.parents = parents
    this.nodes = parents.map((parent, i) => i < data.parent.length
      ? {
          i,
          name: texts[data.name[i]],
          file: texts[data.file[i]],
          line: data.line[i],
          lastLine: data.lastLine[i],
          object: texts[data.object[i]],
          inlined: data.inlined[i],
          cut: 0
        }
      : {
          i,
          name: frames(data.cutFrames[i - data.parent.length]) + ' left out',
          file: '',
          line: 0,
          lastLine: 0,
          object: '',
          inlined: 0,
          cut: data.cutFrames[i - data.parent.length]
        })
    for (let i = 1; i < parents.length; i++) (this.nodes[parents[i]].children ??= []).push(this.nodes[i])
    this.root = this.nodes[0]
    for (const type of this.types) this.sum(type)
  }

  sum (type) {
    const { data, parents } = this
    const t = type.index
    const self = data.self[t].concat(data.cut[t])
    const base = this.hasBase ? data.baseSelf[t].concat(data.baseCut[t]) : null
    type.self = self
    type.now = sumUp(self, parents)
    type.before = base ? sumUp(base, parents) : null
    if (!base && !type.signed) return
    const change = data.self[t].map((value, i) => Math.abs(value - (base ? base[i] : 0)))
    type.change = sumUp(change.concat(data.changeCut[t]), parents)
  }

  // What widths may show: where values are below zero only the sum of all changes has a width.
  modes (type) {
    return type.signed ? ['change'] : this.hasBase ? ['now', 'before', 'change'] : ['now']
  }

  isDifference (type) {
    return this.hasBase || type.signed
  }

  // From -1 (gone) over 0 (the same) to 1 (new).
  change (type, i) {
    const now = type.now[i]
    const before = type.before ? type.before[i] : 0
    const whole = type.before ? Math.max(Math.abs(now), Math.abs(before)) : type.change[i]
    return whole > 0 ? (now - before) / whole : 0
  }

  // Frames that have no width on one side of a difference, with what they have on the other: of each stack the lowest.
  missing (type, here, there) {
    let count = 0
    let value = 0
    for (const { i, cut } of this.nodes) {
      if (cut || type[here][i] !== 0 || type[there][i] === 0) continue
      count++
      if (type[here][this.parents[i]] !== 0 || i === 0) value += type[there][i]
    }
    return { count, value }
  }

  // As heaptap's other reports write it: 2.50MB.
  label (type, value) {
    value /= this.data.divideBy
    let unit = type.unit
    if (type.units.length > 0) {
      let chosen = type.units[0]
      for (const candidate of type.units) if (Math.abs(value) / candidate[1] >= 1) chosen = candidate
      value /= chosen[1]
      unit = chosen[0]
    } else if (Number.isInteger(value)) {
      return value.toLocaleString('en') + (unit && ' ' + unit)
    }
    const text = value.toFixed(2).replace(/\.00$/, '')
    return text === '0' || text === '-0' ? '0' : text + unit
  }

  // With the exact figure behind a rounded one.
  exact (type, value) {
    const short = this.label(type, value)
    if (type.units.length === 0 || value === 0 || this.data.divideBy !== 1) return short
    const whole = value.toLocaleString('en')
    return `${short} (${whole}${type.unit && ' ' + type.unit})`
  }
}

export function percent (part, whole) {
  if (whole === 0) return '0%'
  const value = Math.abs(part / whole) * 100
  if (value === 0) return '0%'
  if (value < 0.01) return '<0.01%'
  if (value >= 1000) return Math.round(value).toLocaleString('en') + '%'
  return value.toFixed(2).replace(/\.00$/, '') + '%'
}

export function frames (count) {
  return count.toLocaleString('en') + (count === 1 ? ' frame' : ' frames')
}

// Lower-case expressions match upper case as well, as in many editors. Throws on what is no expression.
export function expression (text) {
  return new RegExp(text, /\p{Lu}/u.test(text.replace(/\\./g, '')) ? '' : 'i')
}

// Shorter and shorter forms of a function's name: without arguments, without templates, without namespaces.
export function shorter (name) {
  const forms = [name]
  let text = name.replace(/^\(anonymous namespace\)::/, '')
  const operator = /\boperator\b/.test(text)
  if (!operator) {
    const bare = withoutBrackets(withoutBrackets(text, '(', ')'), '<', '>').replace(/ (const|\[clone .*)$/, '').trim()
    const noArguments = withoutBrackets(text, '(', ')').replace(/ const$/, '').trim()
    for (text of [noArguments, bare]) if (text !== '') forms.push(text)
    const last = /^[^[\s].*(?:::|\.)([^:./\s]+)$/.exec(bare)?.[1] // not of [libc.so.6], not of names with a place behind them
    if (last) forms.push(last)
  }
  return forms
}

// Takes out what stands between matching brackets that follow a word; "(*T).Method" keeps its receiver.
function withoutBrackets (text, open, close) {
  let out = ''
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c === open && (depth > 0 || (i > 0 && /[\w>~\]]/.test(text[i - 1])))) depth++
    if (depth === 0) out += c
    if (c === close && depth > 0) depth--
  }
  return depth === 0 ? out : text
}
