/** Lines (from 1) of a document's members, by path joined with `\u0000`. */
export type Lines = ReadonlyMap<string, number>

const pathId = (path: readonly string[]): string => path.join('\u0000')

/** Finds the line of a member, or of the nearest thing around it that is known. */
export function lineOf(lines: Lines, path: readonly string[]): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const line = lines.get(pathId(path.slice(0, length)))
    if (line !== undefined) return line
  }
  return undefined
}

/** Finds the lines of the members of a JSON text, which must be valid. */
export function locateJson(text: string): Lines {
  const lines = new Map<string, number>()
  const path: string[] = []
  const open: ('object' | 'array')[] = []
  let line = 1
  let key: string | undefined
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:\n]/g)) {
    if (token === '\n') line++
    else if (token.startsWith('"')) key = JSON.parse(token)
    else if (token === ':') {
      path[open.length - 1] = key ?? ''
      path.length = open.length
      lines.set(pathId(path), line)
    } else if (token === '{' || token === '[') open.push(token === '{' ? 'object' : 'array')
    else if (token === '}' || token === ']') {
      open.pop()
      path.length = open.length
    }
    if (open.at(-1) === 'array') path[open.length - 1] = '[]'
  }
  return lines
}

/** Finds the lines of block mappings in a YAML text by their indentation. */
export function locateYaml(text: string): Lines {
  const lines = new Map<string, number>()
  const above: { indent: number; key: string }[] = []
  for (const [index, content] of text.split('\n').entries()) {
    const match = /^(\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#"'[{:-][^:#]*?)\s*:(?:\s|$)/.exec(content)
    if (!match?.[2]) continue
    const indent = match[1]?.length ?? 0
    while ((above.at(-1)?.indent ?? -1) >= indent) above.pop()
    above.push({ indent, key: match[2].replace(/^(["'])(.*)\1$/, '$2') })
    lines.set(pathId(above.map((item) => item.key)), index + 1)
  }
  return lines
}
