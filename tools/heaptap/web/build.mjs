// Builds the flame graph's page (one HTML file, everything inside) and writes it as C source, and as the file that builds
// without npm may be given, whose first line says of which sources it is: node build.mjs OUT.c OUT.html HASH
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { build } from 'esbuild'

const TITLE = '@HEAPTAP_TITLE@'
const DATA = '@HEAPTAP_DATA@'

async function bundle (entry, options) {
  const result = await build({
    entryPoints: [entry], bundle: true, minify: true, write: false, legalComments: 'none', charset: 'ascii', metafile: true, ...options
  })
  return { text: result.outputFiles[0].text.trim(), inputs: Object.keys(result.metafile.inputs) }
}

// Names, versions and licences of the packages that are in the page; their authors ask for the notice in every copy.
function licences (inputs) {
  const packages = new Set(inputs.map(path => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter(Boolean))
  const lines = []
  const texts = new Map()
  for (const name of [...packages].sort()) {
    const about = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8'))
    lines.push(`${name} ${about.version}, ${about.license}`)
    const file = `node_modules/${name}/LICENSE`
    if (about.license === 'Apache-2.0' || !existsSync(file)) continue
    const [copyright, ...terms] = readFileSync(file, 'utf8').trim().split('\n\n')
    const key = terms.join('\n\n')
    texts.set(key, [...(texts.get(key) ?? []), `${name}: ${copyright.replace(/\s+/g, ' ')}`])
  }
  lines.push('', 'The Apache License 2.0 is at www.apache.org/licenses/LICENSE-2.0.')
  for (const [terms, names] of texts) lines.push('', ...names, '', terms)
  const comment = lines.join('\n')
  if (comment.includes('--')) throw new Error('a licence cannot stand in an HTML comment')
  return comment
}

function hashOf (text) {
  return `'sha256-${createHash('sha256').update(text, 'utf8').digest('base64')}'`
}

function replaceOnce (text, mark, replacement) {
  const parts = text.split(mark)
  if (parts.length !== 2) throw new Error(`${mark} is there ${parts.length - 1} times`)
  return parts.join(replacement)
}

// Numbers, not a string: compilers need not take more than 4,095 bytes in one literal.
function cSource (page) {
  const bytes = Buffer.from(page, 'utf8')
  const rows = []
  for (let from = 0; from < bytes.length; from += 24) rows.push([...bytes.subarray(from, from + 24)].join(','))
  return '// Written by web/build.mjs: the flame graph\'s page.\n#include "view/flame/web.h"\n' +
    `const char ht_flame_web_page[] = {\n${rows.join(',\n')},0};\nconst char ht_flame_web_missing[] = "";\n`
}

const script = await bundle('page.js', { format: 'iife', target: ['es2020'] })
const style = await bundle('page.css', {})
if (/<\/(script|style)/i.test(script.text + style.text)) throw new Error('the script would end its own element')
let page = readFileSync('page.html', 'utf8')
page = replaceOnce(page, '@LICENCES@', licences(script.inputs))
page = replaceOnce(page, '@POLICY@', `default-src 'none'; base-uri 'none'; form-action 'none'; ` +
  `script-src ${hashOf(script.text)}; style-src ${hashOf(style.text)}`)
page = replaceOnce(page, '@STYLE@', style.text)
page = replaceOnce(page, '@SCRIPT@', script.text)
for (const mark of [TITLE, DATA]) replaceOnce(page, mark, '')
if (page.indexOf(TITLE) > page.indexOf(DATA)) throw new Error('the title comes before the data')
if (/[^\x09\x0a\x20-\x7e]/.test(page)) throw new Error('the page is not plain ASCII')
const [out, pageOut, hash] = process.argv.slice(2)
writeFileSync(out, cSource(page))
writeFileSync(pageOut, `<!-- heaptap flame, made from ${hash} -->\n${page}`)
