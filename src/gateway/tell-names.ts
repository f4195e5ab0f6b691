import type { Logger } from '../util/logger.js'
import type { NamesListener } from './names.js'
import type { Target } from './target.js'

/** Says which names lead elsewhere than somebody may expect. */
export function tellNames(logger: Pick<Logger, 'warn' | 'error'>): NamesListener<Target> {
  return {
    onMeeting({ target, name, full, other, alias }) {
      const text = `"${name}" of target "${target.name}" would be ${full}, which leads to target "${other.name}"; it is called ${alias}`
      logger.warn('names_meet', text, { target: target.name, other: other.name })
    },
    onClash({ alias, both: [one, two], winner }) {
      const which = winner ? `that of "${winner.name}" is called` : 'neither can be called'
      const text = `"${one.name}" of target "${one.target.name}" and "${two.name}" of target "${two.target.name}" would both be ${alias}; ${which}: rename one, or change a prefix`
      logger.error('names_clash', text, { target: one.target.name, other: two.target.name })
    },
  }
}
