import { bold, cyan, dim, green, $ as kleur, red, yellow } from 'kleur/colors'
import type { Runtime } from './runtime.js'

type Paint = (text: string) => string

export interface Colors {
  readonly bold: Paint
  readonly cyan: Paint
  readonly dim: Paint
  readonly green: Paint
  readonly red: Paint
  readonly yellow: Paint
}

/**
 * Creates functions that colour text for one of the two outputs, or leave it as it is.
 *
 * `NO_COLOR` switches colours off and wins over `FORCE_COLOR`; without both, only a terminal gets
 * them.
 */
export function createColors({ io, env }: Pick<Runtime, 'io' | 'env'>, to: 'out' | 'err'): Colors {
  const forced = env['FORCE_COLOR']
  const isTty = to === 'out' ? io.outIsTty : io.errIsTty
  const isOn = env['NO_COLOR']
    ? false
    : forced !== undefined && forced !== ''
      ? forced !== '0' && forced !== 'false'
      : isTty && env['TERM'] !== 'dumb'
  const paint =
    (color: (text: string) => string): Paint =>
    (text) => {
      kleur.enabled = isOn
      return color(text)
    }
  return {
    bold: paint(bold),
    cyan: paint(cyan),
    dim: paint(dim),
    green: paint(green),
    red: paint(red),
    yellow: paint(yellow),
  }
}
