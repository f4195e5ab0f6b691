/** One instruction of a Dockerfile, its lines joined. */
export interface Instruction {
  readonly name: string
  readonly text: string
}

export interface Stage {
  readonly image: string
  readonly name: string | undefined
  readonly instructions: readonly Instruction[]
}

/** Reads a Dockerfile into its stages. Throws on a line that is no instruction. */
export function parseDockerfile(source: string): Stage[] {
  const lines = source
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join('\n')
    .replace(/\\\n/g, ' ')
    .split('\n')
  const stages: (Stage & { instructions: Instruction[] })[] = []
  for (const line of lines) {
    const [, name = '', text = ''] = /^([A-Z]+) +(\S.*)$/.exec(line) ?? []
    if (name === '') throw new Error(`not an instruction: ${line}`)
    if (name === 'FROM') {
      const [, image = '', as] =
        /^(?:--platform=\$BUILDPLATFORM )?(\S+)(?: AS (\S+))?$/.exec(text) ?? []
      stages.push({ image, name: as, instructions: [] })
    } else stages.at(-1)?.instructions.push({ name, text })
  }
  return stages
}

/** The text of the last instruction with this name. */
export function lastOf({ instructions }: Stage, name: string): string {
  return instructions.findLast((instruction) => instruction.name === name)?.text ?? ''
}

/** `A=1 B=2`, of all ENV instructions. */
export function environmentOf({ instructions }: Stage): Record<string, string> {
  const pairs = instructions
    .filter(({ name }) => name === 'ENV')
    .flatMap(({ text }) => text.split(' '))
  return Object.fromEntries(pairs.map((pair) => pair.split('=', 2)))
}
