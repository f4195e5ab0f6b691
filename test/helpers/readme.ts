import { readFileSync } from 'node:fs'

export interface Block {
  /** Heading above it. */
  readonly section: string
  readonly language: string
  readonly text: string
}

const README = new URL('../../README.md', import.meta.url)

/** Cuts the fenced blocks out of the README, in their order; blocks in lists lose their indent. */
export function readBlocks(source = readFileSync(README, 'utf8')): Block[] {
  const blocks: Block[] = []
  let section = ''
  let open: { indent: string; language: string; lines: string[] } | undefined
  for (const line of source.split('\n')) {
    const [, indent = '', language] = /^( *)```(.*)$/.exec(line) ?? []
    if (open !== undefined) {
      if (language === '' && indent === open.indent) {
        blocks.push({ section, language: open.language, text: `${open.lines.join('\n')}\n` })
        open = undefined
      } else open.lines.push(line.slice(open.indent.length))
    } else if (language !== undefined) open = { indent, language, lines: [] }
    else section = /^#+ (.*)$/.exec(line)?.[1] ?? section
  }
  if (open !== undefined) throw new Error(`a block in "${section}" does not end`)
  return blocks
}
