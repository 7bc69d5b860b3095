// The page: draws the model with d3-flame-graph and gives it search, zoom, sample types, layouts, keys and words.
import flamegraph from 'd3-flame-graph/src/flamegraph.js'
import { select } from 'd3-selection'
import { changeColour, Palette, STEPS } from './colours.js'
import { expression, frames, Model, percent, shorter } from './model.js'

const ROW = 20 // height of a frame
const NARROWEST = 0.5 // pixels; narrower frames are not drawn until one zooms in
const MOVING = 200 // milliseconds that frames move when one zooms or switches
const THEMES = ['auto', 'light', 'dark']
const byId = id => document.getElementById(id)

const model = new Model(JSON.parse(byId('data').textContent))
const palette = new Palette(model)
const darkSystem = window.matchMedia('(prefers-color-scheme: dark)')
const calm = window.matchMedia('(prefers-reduced-motion: reduce)')

const state = {
  type: model.types[model.data.type],
  mode: '',
  rootOnTop: model.data.rootOnTop,
  theme: 'auto',
  zoomed: null, // nodes of d3's hierarchy
  current: null, // where the keyboard is
  pattern: null,
  matches: []
}

const chart = flamegraph()
  .cellHeight(ROW)
  .minFrameSize(NARROWEST)
  .transitionDuration(0) // until the first drawing stands
  .resetHeightOnZoom(true)
  .inverted(state.rootOnTop)
  .sort((a, b) => b.value - a.value || (a.data.name < b.data.name ? -1 : 1))
  .setColorMapper(d => colourOf(d))
  .setLabelHandler(d => tooltipOf(d))
  .setDetailsHandler(text => { if (text === null) showDetails(null) })
  .onHover(d => showDetails(d))
  .onClick(d => zoomedTo(d))
chart.getName(d => fitting(d))
chart.getValue(d => (d.data ?? d).width)

let root = null // of d3's hierarchy

// --- values -------------------------------------------------------------------------------------------------------

const widths = () => state.type[state.mode]
const widthOf = d => widths()[d.data.i]
const visibleWidth = d => (d.x1 - d.x0) * chart.width()
const isDrawn = d => visibleWidth(d) > NARROWEST

function setWidths () {
  const values = widths()
  let depth = 0
  const depths = new Uint32Array(model.nodes.length)
  for (const node of model.nodes) {
    node.width = values[node.i]
    if (node.i > 0) depths[node.i] = depths[model.parents[node.i]] + 1
    if (node.width * chart.width() > NARROWEST * values[0] && depths[node.i] > depth) depth = depths[node.i]
  }
  // The same height at every zoom, so that nothing jumps. d3-flame-graph keeps two rows free for a title.
  chart.minHeight((depth + 3) * ROW)
  byId('box').style.setProperty('--graph-height', `${(depth + 1) * ROW}px`)
}

// --- names --------------------------------------------------------------------------------------------------------

const measure = document.createElement('canvas').getContext('2d')
const textWidths = new Map()

function textWidth (text) {
  let width = textWidths.get(text)
  if (width === undefined) textWidths.set(text, width = measure.measureText(text).width)
  return width
}

// The longest form of the name that fits its frame; the last one is cut by the style sheet.
function fitting (d) {
  const room = visibleWidth(d) - 10
  const name = d.data.name
  if (room >= 25 && textWidth(name) > room) {
    const forms = shorter(name)
    return forms.find(form => textWidth(form) <= room) ?? forms[forms.length - 1]
  }
  return name
}

function placeOf (node) {
  if (node.file === '') return ''
  if (node.line === 0) return node.file
  return node.file + ':' + node.line + (node.lastLine !== node.line ? '\u2013' + node.lastLine : '')
}

const inlinedWords = node => node.inlined === 1 ? 'inlined' : node.inlined === 2 ? 'partly inlined' : ''

function changeWords (type, i) {
  const before = type.before[i]
  const change = type.now[i] - before
  const sign = change > 0 ? '+' : change < 0 ? '\u2212' : '\u00b1'
  const relative = before === 0 ? (change === 0 ? '' : ', new') : type.now[i] === 0 ? ', gone' : `, ${sign}${percent(change, before)}`
  return `${model.label(type, before)} before, ${model.label(type, type.now[i])} now: ${sign}${model.label(type, Math.abs(change))}${relative}`
}

function tooltipOf (d) {
  const node = d.data
  const lines = [node.name + (node.inlined ? ` (${inlinedWords(node)})` : '')]
  lines.push(`${model.label(state.type, state.type.now[node.i])}, ${percent(widthOf(d), model.root.width)} of all`)
  if (state.type.before) lines.push(changeWords(state.type, node.i))
  const place = placeOf(node)
  if (place) lines.push(place)
  return lines.join('\n')
}

// --- colours ------------------------------------------------------------------------------------------------------

const isDark = () => state.theme === 'dark' || (state.theme === 'auto' && darkSystem.matches)

function colourOf (d) {
  const dark = isDark()
  if (d.data.cut) return dark ? '#33363b' : '#ececec'
  if (state.pattern && d.highlight) return dark ? '#a32a9f' : '#f07be8'
  if (model.isDifference(state.type)) return changeColour(model.change(state.type, d.data.i), dark)
  return d.parent ? palette.colour(d.data, dark) : palette.other(dark)
}

// --- drawing ------------------------------------------------------------------------------------------------------

// What d3-flame-graph does not do: classes, marks for screen readers, one frame that the keyboard can reach.
function decorate () {
  if (!state.current || !isDrawn(state.current)) state.current = state.zoomed ?? root
  let narrow = 0
  root.each(d => { if (d.value > 0 && !isDrawn(d)) narrow++ })
  select('#chart svg')
    .attr('role', 'tree')
    .attr('aria-label', `${state.rootOnTop ? 'Icicle' : 'Flame'} graph of ${state.type.name}`)
    .classed('searching', state.pattern !== null)
    .selectAll('g.frame')
    .attr('data-node', d => d.data.i)
    .attr('role', 'treeitem')
    .attr('aria-level', d => d.depth + 1)
    .attr('aria-label', d => tooltipOf(d).replaceAll('\n', ', '))
    .attr('tabindex', d => d === state.current ? 0 : -1)
    .classed('inlined', d => d.data.inlined === 1)
    .classed('cut', d => d.data.cut > 0)
    .classed('match', d => Boolean(state.pattern && d.highlight))
    .on('focus', (_, d) => { setCurrent(d) })
  if (chart.transitionDuration() === 0) still()
  byId('chart').className = state.rootOnTop ? 'icicle' : 'flame'
  byId('reset').disabled = !state.zoomed
  showCut(narrow)
  showDetails(null)
}

// d3-flame-graph draws new frames by a transition, whatever its duration: this is how they look at its end.
function still () {
  const svg = select('#chart svg')
  const height = Number(svg.attr('height'))
  const frames = svg.selectAll('g.frame').interrupt()
    .attr('transform', d => `translate(${d.x0 * chart.width()},${state.rootOnTop ? d.depth * ROW : height - (d.depth + 1) * ROW})`)
  frames.select('rect').interrupt().attr('width', visibleWidth)
  frames.select('div').interrupt().text(fitting)
}

function draw () {
  chart.update()
  decorate()
}

// A frame is where it belongs only after its transition.
function afterTransition (action) {
  setTimeout(action, chart.transitionDuration() + 60)
}

const frameElement = d => document.querySelector(`#chart g.frame[data-node="${d.data.i}"]`)

function scrollToFrame (d) {
  frameElement(d)?.querySelector('rect').scrollIntoView({ block: 'nearest', inline: 'nearest' })
}

function scrollToRoot () {
  const box = byId('box')
  box.scrollTop = state.rootOnTop ? 0 : box.scrollHeight
}

function setCurrent (d) {
  if (state.current && state.current !== d) frameElement(state.current)?.setAttribute('tabindex', '-1')
  state.current = d
  frameElement(d)?.setAttribute('tabindex', '0')
  showDetails(null)
}

function moveTo (d) {
  if (!d) return
  setCurrent(d)
  frameElement(d)?.focus({ preventScroll: true })
  scrollToFrame(d)
}

function zoomedTo (d) {
  state.zoomed = d === root ? null : d
  state.current = d
  const hadFocus = document.activeElement?.closest?.('#chart')
  decorate()
  if (hadFocus) frameElement(d)?.focus({ preventScroll: true })
  afterTransition(() => scrollToFrame(d))
}

function resetZoom () {
  chart.resetZoom()
  zoomedTo(root)
}

// --- words --------------------------------------------------------------------------------------------------------

function element (tag, attributes, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

// Of the frame under the pointer, or of the one where the keyboard is.
function showDetails (hovered) {
  const d = hovered ?? state.current ?? root
  const node = d.data
  const { type } = state
  const badges = [inlinedWords(node), node.object].filter(Boolean).map(text => element('span', { class: 'badge' }, text))
  byId('details-name').replaceChildren(element('strong', {}, node.name), ...badges, element('span', { class: 'place' }, placeOf(node)))
  const parts = [type.before ? changeWords(type, node.i) : model.exact(type, type.now[node.i])]
  parts.push(`${percent(widthOf(d), model.root.width)} of all`)
  if (d.parent && d.parent !== root) parts.push(`${percent(widthOf(d), widthOf(d.parent))} of its caller ${shorter(d.parent.data.name).at(-1)}`)
  if (state.zoomed && d !== state.zoomed && state.zoomed !== d.parent) parts.push(`${percent(widthOf(d), widthOf(state.zoomed))} of the zoomed frame`)
  if (!node.cut && type.self[node.i] !== 0 && node.children) parts.push(`${model.label(type, type.self[node.i])} by itself`)
  byId('details-values').textContent = parts.join('  \u00b7  ')
}

const MODE_WORDS = {
  now: type => `what a frame and all that it called holds${model.hasBase ? ' now' : ''} (${type.words})`,
  before: type => `what a frame and all that it called held before (${type.words})`,
  change: type => `all that changed in a frame and in what it called, up or down (${type.words})`
}

function showLegend () {
  const chips = []
  const dark = isDark()
  const chip = (colour, words) => {
    const swatch = element('i', {})
    swatch.style.backgroundColor = colour
    chips.push(element('span', { class: 'chip' }, swatch, words))
  }
  const words = [element('b', {}, 'Width: '), MODE_WORDS[state.mode](state.type) + '. ', element('b', {}, 'Colour: ')]
  if (model.isDifference(state.type)) {
    words.push(model.hasBase ? 'now against before, red grew, blue shrank, grey is the same.' : 'red is above zero, blue below.')
    for (const step of STEPS) chip(dark ? step.dark : step.light, model.hasBase ? step.words : step.signed)
  } else {
    words.push(palette.groups.length > 0 ? 'the program or library that a function is in.' : 'no meaning.')
    palette.groups.forEach((name, i) => chip(palette.group(i, dark), name))
    if (palette.others > 0) chip(palette.other(dark), `${palette.others} more`)
  }
  if (state.pattern) chip(dark ? '#a32a9f' : '#f07be8', 'matches the search')
  if (model.nodes.some(node => node.inlined)) chips.push(element('span', { class: 'chip slanted' }, 'slanted: inlined into its caller'))
  byId('legend').replaceChildren(element('p', {}, ...words), element('p', { class: 'chips' }, ...chips))
}

// A difference shows only what has a width on the chosen side.
function missingWords () {
  if (!model.hasBase || state.mode === 'change' || state.type.signed) return ''
  const [here, there] = state.mode === 'now' ? ['now', 'before'] : ['before', 'now']
  const { count, value } = model.missing(state.type, here, there)
  if (count === 0) return ''
  const are = count === 1 ? 'is' : 'are'
  return `${frames(count)} (${model.label(state.type, value)} ${there}) ${are} ${here === 'now' ? 'gone' : 'new'}, without width here: ` +
    `see width \u201c${there}\u201d or \u201cchange\u201d. `
}

// What is not to be seen: frames that heaptap left out, and those that are too narrow at this zoom.
function showCut (narrow) {
  const { data } = model
  const parts = [frames(model.frameCount)]
  if (narrow > 0) parts.push(`${narrow.toLocaleString('en')} of them too narrow to be drawn at this zoom`)
  const line = element('p', {}, parts.join(', ') + '. ' + missingWords())
  if (model.cutFrames === 0) {
    line.append('Nothing was left out.')
    byId('cut').replaceChildren(line)
    return
  }
  const cut = model.nodes.filter(node => node.cut).sort((a, b) => b.width - a.width)
  const value = cut.reduce((sum, node) => sum + node.width, 0)
  const why = []
  const share = data.cutFraction >= 0.0001 ? percent(data.cutFraction, 1) : (data.cutFraction * 100).toPrecision(2) + '%'
  if (data.cutSmall === model.cutFrames) why.push(`each with at most ${share} of any sample type`)
  else if (data.cutSmall) why.push(`${data.cutSmall.toLocaleString('en')} with at most ${share} of any sample type each`)
  if (data.cutDeep) why.push(`${data.cutDeep.toLocaleString('en')} deeper than ${data.depthLimit} frames`)
  if (data.cutNegative) why.push(`${data.cutNegative.toLocaleString('en')} below zero`)
  const summary = element('summary', {}, `${frames(model.cutFrames)} left out (${why.join(', ')}): ` +
    `${model.label(state.type, value)} in total, ${percent(value, model.root.width)} of all`)
  const rows = cut.slice(0, 50).map(node => element('li', {}, `${model.label(state.type, node.width)} in ${frames(node.cut)} called by ` +
    model.nodes[model.parents[node.i]].name))
  if (cut.length > rows.length) rows.push(element('li', {}, `and ${cut.length - rows.length} more places`))
  const open = byId('cut').querySelector('details')?.open
  const list = element('details', {}, summary, element('ul', {}, ...rows))
  list.open = Boolean(open)
  byId('cut').replaceChildren(line, list)
}

function showHeader () {
  const { data } = model
  const { type } = state
  byId('program').textContent = model.program || 'profile'
  const parts = [`${type.name}: ${model.label(type, type.now[0])}`]
  if (type.before) parts[0] = `${type.name}: ${changeWords(type, 0)}`
  const time = data.lines.find(line => line.startsWith('Time: '))
  if (time) parts.push(time.slice(6))
  if (data.buildId) parts.push(`build id ${data.buildId.length > 16 ? data.buildId.slice(0, 12) + '\u2026' : data.buildId}`)
  byId('summary').textContent = parts.join('  \u00b7  ')
  byId('warnings').hidden = data.warnings.length === 0
  byId('warnings').replaceChildren(...data.warnings.map(text => element('span', {}, text)))
  byId('about-text').replaceChildren(...data.lines.map(line => element('p', {}, line)))
}

// --- choices ------------------------------------------------------------------------------------------------------

function choice (id, options, chosen, choose) {
  const group = byId(id)
  const had = group.contains(document.activeElement)
  group.hidden = options.length < 2
  group.replaceChildren(...options.map(({ value, name, words }) => {
    const button = element('button', { type: 'button', role: 'radio', 'aria-checked': String(value === chosen), title: words, tabindex: value === chosen ? 0 : -1 }, name)
    button.dataset.value = value
    button.addEventListener('click', () => choose(value))
    return button
  }))
  if (had) group.querySelector('[aria-checked=true]')?.focus()
  group.onkeydown = event => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
    if (!step) return
    event.preventDefault()
    event.stopPropagation()
    const at = options.findIndex(option => option.value === chosen)
    choose(options[(at + step + options.length) % options.length].value)
  }
}

function showChoices () {
  choice('types', model.types.map(type => ({ value: type.index, name: type.name, words: type.words })), state.type.index, setType)
  choice('modes', model.modes(state.type).map(mode => ({ value: mode, name: mode, words: 'Width: ' + MODE_WORDS[mode](state.type) })),
    state.mode, setMode)
  choice('layouts', [
    { value: false, name: 'Flame', words: 'The root at the bottom (key l)' },
    { value: true, name: 'Icicle', words: 'The root on top (key l)' }
  ], state.rootOnTop, setLayout)
}

// Draws anew after widths changed. A zoomed frame that has none any more gives the zoom up.
function widthsChanged () {
  setWidths()
  if (state.zoomed && state.zoomed.data.width === 0) {
    state.zoomed = null
    chart.resetZoom()
  }
  showChoices()
  showHeader()
  showLegend()
  draw()
  search()
}

function setType (index) {
  state.type = model.types[index]
  const modes = model.modes(state.type)
  if (!modes.includes(state.mode)) state.mode = modes[0]
  widthsChanged()
}

function setMode (mode) {
  state.mode = mode
  widthsChanged()
}

function setLayout (rootOnTop) {
  state.rootOnTop = rootOnTop
  chart.inverted(rootOnTop)
  showChoices()
  draw()
  afterTransition(() => state.zoomed ? scrollToFrame(state.zoomed) : scrollToRoot())
}

function setTheme (theme) {
  state.theme = theme
  document.documentElement.dataset.theme = theme
  byId('theme').textContent = { auto: 'Theme: auto', light: 'Theme: light', dark: 'Theme: dark' }[theme]
  try {
    localStorage.setItem('heaptap-theme', theme)
  } catch { /* pages from files may not store anything */ }
  if (!root) return
  showLegend()
  draw()
}

// --- search -------------------------------------------------------------------------------------------------------

// A frame within a matching frame counts once: what both hold is the same.
function search () {
  const text = byId('search').value
  const found = byId('found')
  const had = state.pattern !== null
  state.pattern = null
  state.matches = []
  byId('clear').hidden = text === ''
  byId('search').removeAttribute('aria-invalid')
  found.textContent = ''
  if (text !== '') {
    try {
      state.pattern = expression(text)
    } catch (error) {
      byId('search').setAttribute('aria-invalid', 'true')
      found.textContent = error.message.replace(/^Invalid regular expression: /, '')
    }
  }
  let sum = 0
  root.eachBefore(d => {
    d.highlight = state.pattern !== null && !d.data.cut && d.parent !== null && state.pattern.test(d.data.name)
    d.inMatch = d.parent !== null && (d.parent.inMatch || d.parent.highlight)
    if (!d.highlight || d.data.width === 0) return
    state.matches.push(d)
    if (!d.inMatch) sum += d.data.width
  })
  if (state.pattern) {
    found.textContent = state.matches.length === 0
      ? 'no match'
      : `${percent(sum, model.root.width)} of all: ${model.label(state.type, sum)} in ${frames(state.matches.length)}`
  }
  if (!state.pattern && !had) return
  showLegend()
  draw()
}

function nextMatch (step) {
  const drawn = state.matches.filter(isDrawn)
  if (drawn.length === 0) return
  const at = drawn.indexOf(state.current)
  moveTo(drawn[at < 0 ? (step > 0 ? 0 : drawn.length - 1) : (at + step + drawn.length) % drawn.length])
}

// --- keys ---------------------------------------------------------------------------------------------------------

const drawnChildren = d => (d.children ?? []).filter(isDrawn).sort((a, b) => a.x0 - b.x0)

function neighbour (d, step) {
  const level = root.descendants().filter(other => other.depth === d.depth && isDrawn(other)).sort((a, b) => a.x0 - b.x0)
  return level[level.indexOf(d) + step]
}

// Up and down follow what is seen: in a flame graph callees stand above their callers.
const KEYS = {
  ArrowUp: () => moveTo(state.rootOnTop ? state.current.parent : drawnChildren(state.current)[0]),
  ArrowDown: () => moveTo(state.rootOnTop ? drawnChildren(state.current)[0] : state.current.parent),
  ArrowLeft: () => moveTo(neighbour(state.current, -1)),
  ArrowRight: () => moveTo(neighbour(state.current, 1)),
  Home: () => moveTo(root),
  Enter: () => { if (!state.current.data.cut) chart.zoomTo(state.current) },
  ' ': () => { if (!state.current.data.cut) chart.zoomTo(state.current) },
  Escape: () => state.zoomed ? resetZoom() : clearSearch(),
  '/': () => { byId('search').focus(); byId('search').select() },
  n: () => nextMatch(1),
  p: () => nextMatch(-1),
  N: () => nextMatch(-1),
  l: () => setLayout(!state.rootOnTop),
  t: () => setTheme(THEMES[(THEMES.indexOf(state.theme) + 1) % THEMES.length])
}
const ONLY_IN_GRAPH = ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', 'Home', 'Enter', ' ']

function onKey (event) {
  const { target, key } = event
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (target === byId('search')) {
    if (key === 'Escape') {
      clearSearch()
    } else if (key === 'Enter') {
      nextMatch(1)
    } else {
      return
    }
    event.preventDefault()
    return
  }
  const action = Object.hasOwn(KEYS, key) ? KEYS[key] : null
  if (!action || (ONLY_IN_GRAPH.includes(key) && !target.closest?.('#chart'))) return
  event.preventDefault()
  action()
}

function clearSearch () {
  byId('search').value = ''
  search()
  byId('search').blur()
}

// --- start --------------------------------------------------------------------------------------------------------

function resize () {
  const width = byId('box').clientWidth
  if (!root || width === chart.width() || width === 0) return
  chart.width(width)
  setWidths()
  draw()
  still()
}

function setMotion () {
  chart.transitionDuration(calm.matches ? 0 : MOVING)
}

function start () {
  measure.font = '12px ' + getComputedStyle(document.body).fontFamily
  let theme = 'auto'
  try {
    theme = localStorage.getItem('heaptap-theme') ?? 'auto'
  } catch { /* as above */ }
  setTheme(THEMES.includes(theme) ? theme : 'auto')
  const modes = model.modes(state.type)
  // Where nothing is left now, what was there before is what there is to see.
  state.mode = modes.includes('before') && state.type.now[0] === 0 ? 'before' : modes[0]
  chart.width(byId('box').clientWidth)
  setWidths()
  showChoices()
  showHeader()
  showLegend()
  select('#chart').datum(model.root).call(chart)
  root = select('#chart').datum()
  state.current = root
  decorate()
  scrollToRoot()
  byId('reset').addEventListener('click', resetZoom)
  byId('clear').addEventListener('click', clearSearch)
  byId('theme').addEventListener('click', () => KEYS.t())
  byId('search').addEventListener('input', search)
  document.addEventListener('keydown', onKey)
  darkSystem.addEventListener('change', () => setTheme(state.theme))
  calm.addEventListener('change', setMotion)
  setMotion()
  new ResizeObserver(resize).observe(byId('box'))
}

start()
